// The types refuse what is wrong: an error that is expected and does not come is one.
import type { Board } from './board';

const rest = { schemaVersion: 39, annotations: { list: [] } };
const place = { h: 4, w: 4, x: 0, y: 0 };
const row: { id: number; type: 'row'; collapsed: boolean; panels: [] } = { id: 1, type: 'row', collapsed: false, panels: [] };
const heat: Board['panels'][number] & { type: 'heatmap' } = {
  type: 'heatmap',
  title: 'title',
  description: 'description',
  gridPos: place,
  targets: [{ refId: 'A', expr: 'up' }],
  fieldConfig: { defaults: { unit: 's' }, overrides: [] },
  options: {
    color: { exponent: 1, fill: 'blue', reverse: false, scheme: 'Blues', steps: 2 },
    exemplars: { color: 'red' },
    legend: { show: true },
    showValue: 'never',
    tooltip: { mode: 'single' },
    yAxis: {},
  },
};

export const right: Board = { ...rest, panels: [{ ...row, gridPos: place }, heat] };
// @ts-expect-error: a place is a number
export const text: Board = { ...rest, panels: [{ ...row, gridPos: { ...place, x: '0' } }] };
// @ts-expect-error: there is no such panel
export const kind: Board = { ...rest, panels: [{ ...row, type: 'graph' }] };
// @ts-expect-error: there is no such key
export const key: Board = { ...rest, panels: [{ ...row, titel: 'Machines' }] };
// @ts-expect-error: a panel has a unit
export const unit: Board = { ...rest, panels: [{ ...heat, fieldConfig: { defaults: {}, overrides: [] } }] };
// @ts-expect-error: a panel asks something
export const asked: Board = { ...rest, panels: [{ ...heat, targets: [{ refId: 'A' }] }] };
// @ts-expect-error: these are not the options of a number
export const options: Board = { ...rest, panels: [{ ...heat, type: 'stat' }] };
// @ts-expect-error: there is no such option
export const option: Board = { ...rest, panels: [{ ...heat, options: { ...heat.options, cellGaps: 1 } }] };
// @ts-expect-error: there is no such way to share the crosshair
export const shared: Board = { ...rest, panels: [], graphTooltip: 7 };
// @ts-expect-error: an annotation has a query
export const mark: Board = { ...rest, panels: [], annotations: { list: [{ name: 'a', enable: true, iconColor: 'red', target: { refId: 'a' } }] } };
