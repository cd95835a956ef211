// A dashboard's JSON by the types of @grafana/schema; tests/observability.rs has tsc check each dashboard as a `Board`.
import type { AnnotationQuery, Dashboard, DataQuery, FieldConfigSource, Panel, RowPanel } from '@grafana/schema';
import type * as BarGauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as Heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as Stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as TimeSeries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON holds the values of enums, not their names.
type Plain<T> = T extends string
  ? `${T}`
  : T extends number
    ? `${T}` extends `${infer N extends number}` ? N : never
    : T extends (infer U)[]
      ? Plain<U>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T;

// The schema has no type for what is asked of Prometheus; this is what Grafana's packages/grafana-prometheus says.
interface PrometheusQuery extends DataQuery {
  expr: string;
  editorMode?: 'builder' | 'code';
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  legendFormat?: string;
  range?: boolean;
}

// Every panel has a title, a description, a place and a unit.
type Of<Kind extends string, Options, Custom> = Plain<
  Omit<Panel, 'type' | 'title' | 'description' | 'gridPos' | 'options' | 'targets' | 'fieldConfig'> &
    Required<Pick<Panel, 'title' | 'description' | 'gridPos'>>
> & {
  type: Kind;
  options: Plain<Options>;
  targets: PrometheusQuery[];
  fieldConfig: Plain<Omit<FieldConfigSource, 'defaults'>> & {
    defaults: Plain<Omit<FieldConfigSource['defaults'], 'custom' | 'unit'>> & { custom?: Plain<Custom>; unit: string };
  };
};

type AnyPanel =
  | Of<'stat', Stat.Options, never>
  | Of<'bargauge', BarGauge.Options, never>
  | Of<'heatmap', Heatmap.Options, Heatmap.FieldConfig>
  | Of<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>
  | Plain<RowPanel>;

type Mark = Plain<Omit<AnnotationQuery, 'target'>> & { target?: PrometheusQuery; titleFormat?: string; tagKeys?: string };

export type Board = Plain<Omit<Dashboard, 'panels' | 'annotations'>> & {
  panels: AnyPanel[];
  annotations: { list: Mark[] };
};
