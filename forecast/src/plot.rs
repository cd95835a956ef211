//! Charts as SVG: the learning curve, and forecasts beside what came.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::prepared::Prepared;
use crate::publish::publish;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 360.0;
/// Room for what stands beside the lines.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 46.0;

/// Windows that a chart of forecasts shows, the last ones.
const SHOWN: usize = 400;
/// Targets that are drawn.
const PANELS: usize = 8;

const BLACK: &str = "#222222";
const BLUE: &str = "#1f77b4";
const ORANGE: &str = "#e07b00";
const GREY: &str = "#888888";
const GREEN: &str = "#2a8a4a";

/// One line of a chart.
#[derive(Debug, Clone)]
struct Line {
    name: String,
    color: &'static str,
    dashed: bool,
    /// In the order of x; a point that is no number ends the line before it.
    points: Vec<(f64, f64)>,
}

/// One chart.
#[derive(Debug, Clone)]
struct Chart {
    title: String,
    x: &'static str,
    /// Whether a step up is a multiple: for losses, which fall by powers of ten.
    logarithmic: bool,
    lines: Vec<Line>,
}

/// Draws the losses of a training's epochs, and those of the baselines, which do not learn.
///
/// # Errors
///
/// [`crate::ForecastError::Write`].
pub fn learning_curve(checkpoint: &Checkpoint, file: &Path) -> Result<()> {
    let history = &checkpoint.history;
    let line = |name: &str, color, points| Line {
        name: name.to_owned(),
        color,
        dashed: false,
        points,
    };
    let at = |epoch: usize, loss: f64| (epoch as f64 + 1.0, loss);
    let train = history
        .iter()
        .enumerate()
        .map(|(epoch, losses)| at(epoch, losses.train));
    let mut lines = vec![line("training", BLUE, train.collect())];
    let validation = history.iter().enumerate();
    let validation = validation.filter_map(|(epoch, losses)| Some(at(epoch, losses.validation?)));
    lines.push(line("validation", ORANGE, validation.collect()));
    if let Some(baselines) = checkpoint.baselines {
        for (name, color, loss) in [
            ("last value", GREY, baselines.last_value),
            ("linear", GREEN, baselines.linear),
        ] {
            let name = format!("{name} (validation)");
            let points = vec![at(0, loss), at(history.len().max(1) - 1, loss)];
            lines.push(Line {
                name,
                color,
                dashed: true,
                points,
            });
        }
    }
    lines.retain(|line| !line.points.is_empty());
    let chart = Chart {
        title: "Mean squared error, scaled".to_owned(),
        x: "epoch",
        logarithmic: true,
        lines,
    };
    write(file, &[chart])
}

/// Draws for each target what came and what was forecast of it, one row ahead and as far ahead as the horizon goes, over the last
/// windows; `forecasts` as [`crate::score::scores`] gives them.
///
/// # Errors
///
/// [`crate::ForecastError::Write`].
pub fn forecasts(
    checkpoint: &Checkpoint,
    prepared: &Prepared,
    starts: &[usize],
    forecasts: &[f32],
    file: &Path,
) -> Result<()> {
    let shape = prepared.shape();
    let first = starts.len().saturating_sub(SHOWN);
    let shown = &starts[first..];
    let mut charts = Vec::new();
    for (target, name) in checkpoint.columns.targets.iter().enumerate().take(PANELS) {
        let row = |start: usize, ahead: usize| start + shape.input + ahead - 1;
        let came = shown.iter().map(|start| {
            let row = row(*start, 1);
            (row as f64, prepared.raw(row, target))
        });
        let end = shown.last().into_iter();
        let end = end.flat_map(|start| row(*start, 2)..=row(*start, shape.horizon));
        let came = came.chain(end.map(|row| (row as f64, prepared.raw(row, target))));
        let mut lines = vec![Line {
            name: "what came".to_owned(),
            color: BLACK,
            dashed: false,
            points: broken(came.collect(), checkpoint.settings.stride),
        }];
        let mut aheads = vec![(1, BLUE), (shape.horizon, ORANGE)];
        aheads.dedup_by_key(|(ahead, _)| *ahead);
        for (ahead, color) in aheads {
            let forecast = shown.iter().enumerate().map(|(at, start)| {
                let output = (ahead - 1) * shape.targets + target;
                let scaled = f64::from(forecasts[(first + at) * shape.outputs() + output]);
                (
                    row(*start, ahead) as f64,
                    checkpoint.scales.targets.unscaled(target, scaled),
                )
            });
            lines.push(Line {
                name: format!("forecast {ahead} ahead"),
                color,
                dashed: false,
                points: broken(forecast.collect(), checkpoint.settings.stride),
            });
        }
        charts.push(Chart {
            title: name.clone(),
            x: "row of the file",
            logarithmic: false,
            lines,
        });
    }
    write(file, &charts)
}

/// Ends lines where rows were left out.
fn broken(points: Vec<(f64, f64)>, stride: usize) -> Vec<(f64, f64)> {
    let mut broken: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if let Some(before) = broken.last()
            && point.0 - before.0 > stride as f64
        {
            broken.push((point.0, f64::NAN));
        }
        broken.push(point);
    }
    broken
}

fn write(file: &Path, charts: &[Chart]) -> Result<()> {
    let text = svg(charts);
    publish(file, |file| file.write_all(text.as_bytes()))
}

/// Charts below each other.
fn svg(charts: &[Chart]) -> String {
    let height = HEIGHT * charts.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"{BLACK}\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (at, chart) in charts.iter().enumerate() {
        chart.draw(&mut svg, HEIGHT * at as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

impl Chart {
    fn draw(&self, svg: &mut String, offset: f64) {
        let on_axis = |value: f64| {
            if self.logarithmic {
                value.log10()
            } else {
                value
            }
        };
        let on_axes = |line: &Line| -> Vec<(f64, f64)> {
            let points = line.points.iter();
            points.map(|(x, y)| (*x, on_axis(*y))).collect()
        };
        let lines: Vec<_> = self.lines.iter().map(on_axes).collect();
        let points = || lines.iter().flatten();
        let mut x = Axis::over(points().map(|point| point.0), LEFT, WIDTH - RIGHT);
        // Epochs and rows are whole.
        x.step = x.step.max(1.0);
        let y = Axis::over(
            points().map(|point| point.1),
            offset + HEIGHT - BOTTOM,
            offset + TOP,
        );
        let mut element = |text: std::fmt::Arguments<'_>| {
            svg.write_fmt(text).expect("text can always be added to");
            svg.push('\n');
        };
        let (left, right, top, bottom) = (x.from, x.to, y.to, y.from);
        element(format_args!(
            "<text x=\"{left}\" y=\"{:.1}\" font-size=\"15\" font-weight=\"bold\">{}</text>",
            offset + 20.0,
            escaped(&self.title)
        ));
        for tick in y.ticks() {
            let (at, label) = (y.at(tick), self.label(&y, tick));
            element(format_args!(
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#e4e4e4\"/>"
            ));
            element(format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 8.0,
                at + 4.0
            ));
        }
        for tick in x.ticks() {
            let (at, label) = (x.at(tick), x.label(tick));
            element(format_args!(
                "<line x1=\"{at:.1}\" y1=\"{bottom:.1}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"{GREY}\"/>",
                bottom + 5.0
            ));
            element(format_args!(
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                bottom + 19.0
            ));
        }
        element(format_args!(
            "<path d=\"M{left} {top:.1}V{bottom:.1}H{right}\" fill=\"none\" stroke=\"{GREY}\"/>"
        ));
        element(format_args!(
            "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{GREY}\">{}</text>",
            bottom + 36.0,
            self.x
        ));
        let mut legend = left;
        for (line, points) in self.lines.iter().zip(&lines) {
            let dashes = if line.dashed {
                " stroke-dasharray=\"6 4\""
            } else {
                ""
            };
            let (color, at) = (line.color, offset + 40.0);
            element(format_args!(
                "<line x1=\"{legend:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{color}\" stroke-width=\"2\"{dashes}/>",
                at - 4.0,
                legend + 24.0,
                at - 4.0
            ));
            element(format_args!(
                "<text x=\"{:.1}\" y=\"{at:.1}\">{}</text>",
                legend + 30.0,
                escaped(&line.name)
            ));
            legend += 52.0 + 7.5 * line.name.chars().count() as f64;
            element(format_args!(
                "<path d=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"{dashes}/>",
                path(points, &x, &y)
            ));
        }
    }
}

impl Chart {
    /// What a tick of the side axis stands for.
    fn label(&self, axis: &Axis, tick: f64) -> String {
        if !self.logarithmic {
            return axis.label(tick);
        }
        // Three digits that say something.
        let decimals = (2.0 - tick.floor()).clamp(0.0, 12.0) as usize;
        format!("{:.decimals$}", 10_f64.powf(tick))
    }
}

/// A line's points as a path; a point by itself is a dot.
fn path(points: &[(f64, f64)], x: &Axis, y: &Axis) -> String {
    let mut path = String::new();
    let sound = |point: &(f64, f64)| point.1.is_finite();
    for line in points.split(|point| !sound(point)) {
        for (at, point) in line.iter().enumerate() {
            let begin = if at == 0 { 'M' } else { 'L' };
            write!(path, "{begin}{:.1} {:.1}", x.at(point.0), y.at(point.1))
                .expect("text can always be added to");
        }
        if line.len() == 1 {
            path.push_str("h1");
        }
    }
    path
}

/// Numbers along one side of a chart.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (mut least, mut most) = values.fold(
            (f64::INFINITY, f64::NEG_INFINITY),
            |(least, most), value| (least.min(value), most.max(value)),
        );
        if least > most {
            (least, most) = (0.0, 1.0);
        }
        if most - least <= least.abs().max(most.abs()) * 1e-12 {
            (least, most) = (least - 0.5, most + 0.5);
        }
        // Some six steps of 1, 2 or 5 times a power of ten.
        let rough = (most - least) / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = step
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        Self {
            least,
            most,
            from,
            to,
            step,
        }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.least) / (self.most - self.least) * (self.to - self.from)
    }

    fn ticks(&self) -> Vec<f64> {
        let (first, last) = (
            (self.least / self.step).ceil() as i64,
            (self.most / self.step).floor() as i64,
        );
        (first..=last)
            .take(20)
            .map(|tick| tick as f64 * self.step)
            .collect()
    }

    fn label(&self, tick: f64) -> String {
        if self.step < 1e-5 {
            return format!("{tick:.2e}");
        }
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.decimals$}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks_and_hold_all_values() {
        let axis = Axis::over([0.13, 0.97, f64::NAN].into_iter(), 0.0, 100.0);
        let labels: Vec<_> = axis
            .ticks()
            .into_iter()
            .map(|tick| axis.label(tick))
            .collect();
        assert_eq!(labels, ["0.2", "0.4", "0.6", "0.8"]);
        let chart = Chart {
            title: String::new(),
            x: "epoch",
            logarithmic: true,
            lines: Vec::new(),
        };
        let labels = [-2.5, -1.0, 0.0, 2.0].map(|tick| chart.label(&axis, tick));
        assert_eq!(labels, ["0.00316", "0.100", "1.00", "100"]);
        assert!(axis.at(0.13).abs() < 1e-9 && (axis.at(0.97) - 100.0).abs() < 1e-9);
        for flat in [vec![5.0, 5.0], vec![], vec![f64::NAN]] {
            let axis = Axis::over(flat.into_iter(), 0.0, 1.0);
            assert!(axis.most > axis.least && !axis.ticks().is_empty());
        }
    }

    #[test]
    fn a_line_ends_where_rows_are_left_out() {
        let line = Line {
            name: "a<b".to_owned(),
            color: BLUE,
            dashed: false,
            points: broken(vec![(0.0, 1.0), (1.0, 2.0), (5.0, 3.0)], 1),
        };
        let svg = svg(&[Chart {
            title: "x & y".to_owned(),
            x: "row",
            logarithmic: false,
            lines: vec![line],
        }]);
        let path = svg
            .lines()
            .rfind(|line| line.starts_with("<path"))
            .expect("it is drawn");
        assert_eq!(
            (path.matches('M').count(), path.matches('L').count()),
            (2, 1),
            "{path}"
        );
        assert!(svg.contains("x &amp; y") && svg.contains("a&lt;b"));
    }
}
