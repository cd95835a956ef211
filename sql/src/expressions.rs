//! A file of expressions, checked, and evaluated over minutes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::{fmt, io, panic, thread};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use arrow_select::concat::concat_batches;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as EngineResult};
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::sqlparser::ast::{Ident, SelectItem, SetExpr, Spanned, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError, ParserOptions};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use tapemill_dataset::export::OwnFactors;
use tapemill_lake::tables::FACTORS;
use tapemill_market::Interval;
use tokio::runtime::Builder;

use crate::bars::{BAR, schema, with_bars};
use crate::error::{SqlError, told};
use crate::exact;

/// The factors of `factors_1h` as a file of expressions.
pub const BUILT_IN: &str = include_str!("../factors.sql");

/// The table that expressions are of.
const TABLE: &str = "minutes";

/// A file of more is none that someone wrote.
const LARGEST_FILE: usize = 256 * 1024;

/// And so many columns.
const MOST_COLUMNS: usize = 1_000;

/// Letters of a name.
const LONGEST_NAME: usize = 63;

/// Words and signs of one expression: the engine goes as deep as operators stand behind each other.
const LONGEST_EXPRESSION: usize = 1_000;

/// How deep brackets may be nested.
const DEEPEST: usize = 100;

/// A file of expressions that is sound: every name is known and every type fits.
pub struct Expressions {
    file: String,
    text: String,
    fields: Fields,
    plan: LogicalPlan,
    engine: Engine,
}

impl fmt::Debug for Expressions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expressions")
            .field("file", &self.file)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl Expressions {
    /// Checks the text of a file, and makes it ready: `expression AS name`, one behind the other with commas between.
    ///
    /// `beside_built_in`: the columns will stand behind those of `factors_1h`, whose names they may not have.
    ///
    /// # Errors
    ///
    /// [`SqlError`] of the first expression that is wrong.
    pub fn check(file: &str, text: &str, beside_built_in: bool) -> Result<Self, SqlError> {
        let checked = with_room(|| Self::check_here(file, text, beside_built_in));
        checked.map_err(|error| of_file(file, error.to_string()))?
    }

    fn check_here(file: &str, text: &str, beside_built_in: bool) -> Result<Self, SqlError> {
        let checker = Checker {
            file,
            engine: Engine::new().map_err(|error| of_file(file, told(&error)))?,
        };
        let items = checker.parse(text)?;
        checker.check_names(&items, beside_built_in)?;
        let mut fields = Vec::new();
        for item in &items {
            let plan = checker
                .engine
                .plan(std::slice::from_ref(item))
                .and_then(|plan| checker.engine.optimised(plan));
            let plan = plan.map_err(|error| checker.wrong(item, explained(&error)))?;
            let of = plan.schema().field(1);
            let target = target(of.data_type());
            let target = target.map_err(|problem| checker.wrong(item, problem))?;
            fields.push(Field::new(&item.name, target, true));
        }
        let plan = checker.engine.plan(&items);
        let plan = plan.and_then(|plan| checker.engine.optimised(plan));
        Ok(Self {
            plan: plan.map_err(|error| of_file(file, told(&error)))?,
            file: file.to_owned(),
            text: text.to_owned(),
            fields: fields.into(),
            engine: checker.engine,
        })
    }
}

impl OwnFactors for Expressions {
    fn fields(&self) -> &Fields {
        &self.fields
    }

    fn source(&self) -> &str {
        &self.text
    }

    fn of(&self, minutes: &RecordBatch, interval: Interval) -> Result<Vec<ArrayRef>, String> {
        let failed = |problem: String| format!("{}: {problem}", self.file);
        let minutes = with_bars(minutes, interval).map_err(|error| failed(error.to_string()))?;
        let bars = with_room(|| self.engine.evaluate(&self.plan, minutes));
        let bars = bars.map_err(|error| failed(error.to_string()))?;
        let bars = bars.map_err(|error| failed(told(&error)))?;
        let columns = bars.columns().iter().skip(1);
        let strict = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        columns
            .zip(&self.fields)
            .map(|(column, field)| {
                let cast = cast_with_options(column, field.data_type(), &strict);
                cast.map_err(|error| failed(format!("{}: {error}", field.name())))
            })
            .collect()
    }
}

/// One expression of a file.
#[derive(Clone)]
struct Item {
    name: String,
    line: u64,
    select: SelectItem,
}

/// What is looked at before any row is read.
struct Checker<'a> {
    file: &'a str,
    engine: Engine,
}

impl Checker<'_> {
    fn parse(&self, text: &str) -> Result<Vec<Item>, SqlError> {
        let whole = |problem: String| of_file(self.file, problem);
        if text.len() > LARGEST_FILE {
            return Err(whole(format!(
                "{} bytes are more than the {LARGEST_FILE} that are read",
                text.len()
            )));
        }
        self.check_lengths(text)?;
        let options = ParserOptions::new().with_trailing_commas(true);
        let parsed = Parser::new(&GenericDialect {})
            .with_recursion_limit(DEEPEST)
            .with_options(options)
            .try_with_sql(text)
            .and_then(|mut parser| {
                if parser.peek_token().token == Token::EOF {
                    return Ok(Vec::new());
                }
                let items = parser.parse_projection()?;
                match parser.peek_token().token {
                    Token::EOF => Ok(items),
                    _ => parser.expected(
                        "a comma, or the end: the file has expressions and no other part of a query",
                        parser.peek_token(),
                    ),
                }
            });
        let items = parsed.map_err(|error| match error {
            ParserError::RecursionLimitExceeded => {
                whole(format!("an expression is nested more than {DEEPEST} times"))
            }
            ParserError::TokenizerError(said) | ParserError::ParserError(said) => {
                let (line, problem) = placed(&said);
                // The end has no place of its own.
                let line = line.or_else(|| Some(text.trim_end().lines().count().max(1) as u64));
                SqlError {
                    line,
                    ..whole(problem)
                }
            }
        })?;
        if items.is_empty() {
            return Err(whole(
                "there is no expression: sum(quote_volume) AS turnover would be one".to_owned(),
            ));
        }
        if items.len() > MOST_COLUMNS {
            return Err(whole(format!(
                "{} expressions are more than {MOST_COLUMNS}",
                items.len()
            )));
        }
        items.into_iter().map(|item| self.item(item)).collect()
    }

    /// Whether no expression is too long.
    fn check_lengths(&self, text: &str) -> Result<(), SqlError> {
        // What is no word is told by the parser.
        let words = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
        let (mut depth, mut length) = (0i64, 0);
        for word in words.unwrap_or_default() {
            match word.token {
                Token::Whitespace(_) => continue,
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                Token::Comma if depth <= 0 => length = 0,
                _ => {}
            }
            length += 1;
            if length > LONGEST_EXPRESSION {
                return Err(SqlError {
                    line: Some(word.span.start.line),
                    ..of_file(
                        self.file,
                        format!("an expression has more than {LONGEST_EXPRESSION} words and signs"),
                    )
                });
            }
        }
        Ok(())
    }

    fn item(&self, select: SelectItem) -> Result<Item, SqlError> {
        let line = select.span().start.line;
        match &select {
            SelectItem::ExprWithAlias { alias, .. } => Ok(Item {
                name: name(alias),
                line,
                select,
            }),
            other => Err(SqlError {
                line: Some(line).filter(|line| *line > 0),
                ..of_file(
                    self.file,
                    format!("{other} has no name: say {other} AS a_name"),
                )
            }),
        }
    }

    fn check_names(&self, items: &[Item], beside_built_in: bool) -> Result<(), SqlError> {
        let built_in = FACTORS.schema();
        let built_in: BTreeSet<&str> = built_in
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let mut names = BTreeSet::new();
        for item in items {
            let name = item.name.as_str();
            let is_plain = name.len() <= LONGEST_NAME
                && name.starts_with(|letter: char| letter.is_ascii_lowercase())
                && name
                    .chars()
                    .all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'));
            let problem = if !is_plain {
                format!(
                    "is no name of a column: lower-case letters, digits and _, at most {LONGEST_NAME}"
                )
            } else if ["symbol", "minute", BAR].contains(&name) {
                "is what names the bar: take another name".to_owned()
            } else if beside_built_in && built_in.contains(name) {
                "is a built-in factor: take another name, or leave the built-in ones out".to_owned()
            } else if !names.insert(name) {
                "is there twice".to_owned()
            } else {
                continue;
            };
            return Err(self.wrong(item, problem));
        }
        Ok(())
    }

    fn wrong(&self, item: &Item, problem: String) -> SqlError {
        SqlError {
            line: Some(item.line).filter(|line| *line > 0),
            column: Some(item.name.clone()),
            ..of_file(self.file, problem)
        }
    }
}

fn of_file(file: &str, problem: String) -> SqlError {
    SqlError {
        file: file.to_owned(),
        line: None,
        column: None,
        problem,
    }
}

fn name(alias: &Ident) -> String {
    match alias.quote_style {
        None => alias.value.to_ascii_lowercase(),
        Some(_) => alias.value.clone(),
    }
}

/// The line that a parser's words end with, and the words.
fn placed(said: &str) -> (Option<u64>, String) {
    let placed = said.rsplit_once(" at Line: ").and_then(|(words, place)| {
        let (line, _) = place.split_once(", Column: ")?;
        Some((Some(line.parse().ok()?), words.to_owned()))
    });
    placed.unwrap_or_else(|| (None, said.to_owned()))
}

/// What the engine says of an expression, and what it does not say.
fn explained(error: &DataFusionError) -> String {
    let said = told(error);
    match said.starts_with("Column in SELECT must be in GROUP BY") {
        true => {
            "a column stands outside of sum(…), max(…) or another aggregate: a bar has many minutes"
                .to_owned()
        }
        false => said,
    }
}

/// What a column of a file is stored as.
fn target(of: &DataType) -> Result<DataType, String> {
    Ok(match of {
        DataType::Boolean => DataType::Boolean,
        of if of.is_integer() => DataType::Int64,
        of if of.is_numeric() => DataType::Float64,
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date32 => DataType::Date32,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Dictionary(_, of) => target(of)?,
        DataType::Null => {
            return Err("has no type: cast it, as in CAST(NULL AS DOUBLE)".to_owned());
        }
        other => {
            return Err(format!(
                "is of type {other}: a column has numbers, times, texts, or true and false"
            ));
        }
    })
}

/// The engine, with one table and functions that depend on nothing else.
struct Engine {
    state: SessionState,
}

/// The stack that deep expressions get.
const STACK: usize = 64 << 20;

/// Does this on a thread of its own: expressions go deep, and the engine, which is asynchronous, may be called from what is
/// asynchronous itself.
fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let done = thread.spawn_scoped(scope, work)?.join();
        Ok(done.unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}

fn wait<T>(work: impl Future<Output = EngineResult<T>>) -> EngineResult<T> {
    Builder::new_current_thread().build()?.block_on(work)
}

impl Engine {
    fn new() -> EngineResult<Self> {
        let mut config = SessionConfig::new()
            // One after the other: rows stay in order of time, so that no value depends on the machine.
            .with_target_partitions(1)
            .with_information_schema(false);
        let parser = &mut config.options_mut().sql_parser;
        parser.map_string_types_to_utf8view = false;
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let environment = RuntimeEnvBuilder::new()
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(environment)
            .with_default_features()
            .build();
        let context = SessionContext::new_with_state(state);
        for function in exact::functions() {
            context.register_udaf(function);
        }
        let nothing = MemTable::try_new(schema(), vec![vec![]])?;
        context.register_table(TABLE, Arc::new(nothing))?;
        Ok(Self {
            state: context.state(),
        })
    }

    /// `bar` and these columns, in order of bars.
    fn plan(&self, items: &[Item]) -> EngineResult<LogicalPlan> {
        let around = format!("SELECT {BAR} FROM {TABLE} GROUP BY {BAR} ORDER BY {BAR}");
        let mut statement = Parser::parse_sql(&GenericDialect {}, &around)?.swap_remove(0);
        if let Statement::Query(query) = &mut statement
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            let items = items.iter().map(|item| item.select.clone());
            select.projection.extend(items);
        }
        let statement = EngineStatement::Statement(Box::new(statement));
        let plan = wait(self.state.statement_to_plan(statement))?;
        check_plan(&plan)?;
        Ok(plan)
    }

    /// With all types settled, and so that it can be run.
    fn optimised(&self, plan: LogicalPlan) -> EngineResult<LogicalPlan> {
        wait(async {
            let plan = self.state.optimize(&plan)?;
            self.state.create_physical_plan(&plan).await?;
            Ok(plan)
        })
    }

    fn evaluate(&self, plan: &LogicalPlan, minutes: RecordBatch) -> EngineResult<RecordBatch> {
        let table: Arc<dyn TableProvider> =
            Arc::new(MemTable::try_new(schema(), vec![vec![minutes]])?);
        let source = provider_as_source(table);
        let plan = plan
            .clone()
            .transform_down(|node| match node {
                LogicalPlan::TableScan(mut scan) => {
                    scan.source = Arc::clone(&source);
                    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
                }
                other => Ok(Transformed::no(other)),
            })?
            .data;
        let context = Arc::new(TaskContext::from(&self.state));
        let batches = wait(async {
            let planner = self.state.query_planner();
            let plan = planner.create_physical_plan(&plan, &self.state).await?;
            collect(plan, context).await
        })?;
        let schema = Arc::clone(plan.schema().inner());
        Ok(concat_batches(&schema, &batches)?)
    }
}

/// Refuses what is more than an expression over the minutes of a bar, and what is not the same each time.
fn check_plan(plan: &LogicalPlan) -> EngineResult<()> {
    let refused = |problem: &str| Err(DataFusionError::Plan(problem.to_owned()));
    plan.apply(|node| {
        match node {
            LogicalPlan::Window(_) => {
                return refused("a window reaches over other bars: an expression is of one");
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::TableScan(_) => {}
            _ => return refused("is not an expression over the minutes of a bar"),
        }
        node.apply_expressions(|expression| {
            expression.apply(|part| match part {
                Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                    refused("has a query within it: an expression is of the minutes of one bar")
                }
                Expr::ScalarFunction(function)
                    if function.func.signature().volatility != Volatility::Immutable =>
                {
                    refused(&format!(
                        "{}() is not the same each time",
                        function.func.name()
                    ))
                }
                Expr::AggregateFunction(aggregate)
                    if aggregate.params.distinct
                        && ["sum", "avg"].contains(&aggregate.func.name()) =>
                {
                    refused(&format!("{} has no DISTINCT", aggregate.func.name()))
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Float64Type;
    use proptest::prelude::*;
    use tapemill_lake::tables::MINUTES;
    use tapemill_market::{Minute, factors};

    use super::*;

    fn minutes(rows: &[Minute]) -> RecordBatch {
        MINUTES.batch("BTCUSDT", rows)
    }

    fn some_minutes() -> RecordBatch {
        let rows: Vec<_> = (0..150)
            .filter(|at| at % 7 != 3)
            .map(|at| Minute {
                minute_us: at * 60_000_000,
                trade_count: at + 1,
                quote_volume: 1.5 * at as f64,
                price_first: at as f64,
                ..Minute::default()
            })
            .collect();
        minutes(&rows)
    }

    #[track_caller]
    fn refused(text: &str) -> String {
        match Expressions::check("my.sql", text, true) {
            Ok(expressions) => panic!("{text:?} gives {:?}", expressions.fields),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn values(text: &str) -> Vec<Option<f64>> {
        let expressions = Expressions::check("my.sql", text, true).unwrap();
        let columns = expressions.of(&some_minutes(), Interval::HOUR).unwrap();
        columns[0].as_primitive::<Float64Type>().iter().collect()
    }

    fn a_minute() -> impl Strategy<Value = Minute> {
        let volume = || prop::sample::select(vec![0.0, 0.1, 1e-8, 12_345.678_9, 1e15, 3.3e9]);
        let price = || prop::sample::select(vec![0.000_01, 1.0, 64_123.4]);
        (
            0i64..3,
            prop::array::uniform12(volume()),
            prop::array::uniform4(price()),
            0i64..1_000,
            0i64..1_000,
        )
            .prop_map(|(gap, volumes, prices, buys, sells)| Minute {
                minute_us: gap,
                trade_count: buys + sells,
                base_volume: volumes[0],
                quote_volume: volumes[1],
                taker_buy_qty: volumes[2],
                taker_sell_qty: volumes[3],
                taker_buy_quote: volumes[4],
                taker_sell_quote: volumes[5],
                taker_buy_quote_sq: volumes[6],
                taker_sell_quote_sq: volumes[7],
                taker_buy_trade_count: buys,
                taker_sell_trade_count: sells,
                whale_buy_quote: volumes[8],
                whale_sell_quote: volumes[9],
                retail_buy_quote: volumes[10],
                retail_sell_quote: volumes[11],
                price_first: prices[0],
                price_last: prices[1],
                price_high: prices[2],
                price_low: prices[3],
                ..Minute::default()
            })
    }

    #[test]
    fn the_file_of_the_built_in_factors_gives_the_built_in_factors() {
        let expressions = Expressions::check("factors.sql", BUILT_IN, false).unwrap();
        let built_in = FACTORS.schema();
        let names = |fields: &Fields| -> Vec<_> {
            fields
                .iter()
                .map(|field| (field.name().clone(), field.data_type().clone()))
                .collect()
        };
        let factors_alone: Fields = built_in.fields().iter().skip(2).cloned().collect();
        assert_eq!(names(expressions.fields()), names(&factors_alone));

        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
        let rows = prop::collection::vec(a_minute(), 1..200);
        let intervals = ["1m", "15m", "1h", "4h", "1d", "1w", "1mo"];
        let given = (rows, prop::sample::select(intervals.to_vec()), 0i64..90_000);
        runner
            .run(&given, |(mut rows, interval, first)| {
                let interval: Interval = interval.parse().unwrap();
                let mut at = first;
                for row in &mut rows {
                    at += row.minute_us + 1;
                    row.minute_us = at * 60_000_000;
                }
                let expected = FACTORS.batch("BTCUSDT", &factors(&rows, interval));
                let found = expressions.of(&minutes(&rows), interval).unwrap();
                for (at, column) in found.iter().enumerate() {
                    let expected = expected.column(at + 2);
                    let name = expressions.fields()[at].name();
                    prop_assert_eq!(column, expected, "{}", name);
                }
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn an_expression_sees_the_minutes_of_its_bar_and_their_places() {
        let rows = [60, 120, 150].map(|end| (end - 60..end).filter(|at| at % 7 != 3));
        let volumes = [0, 1].map(|hour| {
            let volumes = rows[hour].clone().map(|at| 1.5 * f64::from(at));
            Some(volumes.sum::<f64>())
        });
        assert_eq!(values("sum(quote_volume) AS turnover")[..2], volumes);
        assert_eq!(
            values("cast(max(minute_of_bar) * 1000 + min(minutes_of_bar) as double) AS place"),
            [Some(59_060.0), Some(60_060.0), Some(30_060.0)]
        );
        assert_eq!(
            values("date_part('hour', bar) + 0.5 AS hour"),
            [Some(0.5), Some(1.5), Some(2.5)]
        );
        // A trailing comma, comments, letters of any case and several lines are no trouble.
        assert_eq!(
            values("-- one\n/* two */ COUNT(*) / 2.0 -- three\n AS Half, "),
            [Some(25.5), Some(26.0), Some(13.0)]
        );
    }

    #[test]
    fn types_are_settled_before_any_row_is_read() {
        let expressions = Expressions::check(
            "my.sql",
            "count(*) AS rows, avg(trade_count) AS mean, max(minute) AS latest, bool_or(price_high > 5) AS high, \
             max(symbol) AS name, sum(trade_count) / 2 AS half, CAST(NULL AS DOUBLE) AS nothing",
            true,
        )
        .unwrap();
        let types: Vec<_> = expressions
            .fields()
            .iter()
            .map(|field| field.data_type().to_string())
            .collect();
        assert_eq!(
            types,
            [
                "Int64",
                "Float64",
                "Timestamp(µs, \"UTC\")",
                "Boolean",
                "Utf8",
                "Int64",
                "Float64"
            ]
        );
        let columns = expressions.of(&some_minutes(), Interval::DAY).unwrap();
        for (column, field) in columns.iter().zip(expressions.fields()) {
            assert_eq!(column.data_type(), field.data_type());
            assert_eq!(column.len(), 1);
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_file_line_and_name() {
        let mut otherwise: Vec<String> = Vec::new();
        for (text, expected) in [
            ("", "my.sql: there is no expression"),
            (
                "sum(quote_volume) AS a,\nsum(nothing) AS b",
                "my.sql:2: b: No field named nothing",
            ),
            (
                "sum(quote_volume) AS a,\n\nsum(quote_volume",
                "my.sql:3: Expected: ), found: EOF",
            ),
            (
                "sum(quote_volume)",
                "has no name: say sum(quote_volume) AS a_name",
            ),
            ("*", "my.sql:1: * has no name"),
            ("sum(symbol) AS a", "my.sql:1: a: sum takes numbers, not"),
            (
                "sum(quote_volume) + max(symbol) AS a",
                "my.sql:1: a: Cannot coerce arithmetic expression Float64 + ",
            ),
            ("sum(DISTINCT trade_count) AS a", "a: sum has no DISTINCT"),
            (
                "price_high AS a",
                "my.sql:1: a: a column stands outside of sum(…)",
            ),
            (
                "nosuch(price_high) AS a",
                "my.sql:1: a: Invalid function 'nosuch'",
            ),
            (
                "sum(quote_volume) AS vwap",
                "my.sql:1: vwap: is a built-in factor",
            ),
            (
                "sum(quote_volume) AS bar",
                "my.sql:1: bar: is what names the bar",
            ),
            (
                "count(*) AS a, sum(quote_volume) AS A",
                "my.sql:1: a: is there twice",
            ),
            (
                "count(*) AS \"../a\"",
                "my.sql:1: ../a: is no name of a column",
            ),
            (
                "lag(sum(quote_volume)) OVER (ORDER BY bar) AS a",
                "my.sql:1: a: a window reaches over other bars",
            ),
            (
                "(SELECT max(price_high) FROM minutes) AS a",
                "my.sql:1: a: has a query within it",
            ),
            (
                "random() AS a",
                "my.sql:1: a: random() is not the same each time",
            ),
            (
                "max(now()) AS a",
                "my.sql:1: a: now() is not the same each time",
            ),
            ("array_agg(price_high) AS a", "my.sql:1: a: is of type List"),
            ("NULL AS a", "my.sql:1: a: has no type: cast it"),
            (
                "count(*) AS a FROM minutes; DROP TABLE minutes",
                "my.sql:1: Expected: a comma, or the end",
            ),
            (
                "count(*) AS a; count(*) AS b",
                "my.sql:1: Expected: a comma, or the end",
            ),
            ("'open", "my.sql:1: Unterminated string literal"),
        ] {
            let said = match Expressions::check("my.sql", text, true) {
                Ok(expressions) => format!("{:?}", expressions.fields),
                Err(error) => error.to_string(),
            };
            let is_told = said.contains(expected) && said.starts_with("my.sql");
            if !is_told || said.contains('\n') {
                otherwise.push(format!("{text:?} is told as {said:?}"));
            }
        }
        assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
    }

    #[test]
    fn what_no_one_writes_is_refused_and_not_died_of() {
        let nested = format!("{}count(*){} AS a", "(".repeat(400), ")".repeat(400));
        assert!(refused(&nested).contains("nested more than"));
        let large = format!("count(*) AS a -- {}", "-".repeat(LARGEST_FILE));
        assert!(refused(&large).contains("are more than the"));
        let many: Vec<_> = (0..=MOST_COLUMNS).map(|at| format!("1 AS a{at}")).collect();
        assert!(refused(&many.join(",")).contains("expressions are more than"));
        // Operators behind each other nest too, without brackets.
        let chain = |operators| format!("count(*){} AS a", " + 1".repeat(operators));
        assert!(refused(&chain(20_000)).contains("more than 1000 words and signs"));
        let expressions = Expressions::check("my.sql", &chain(496), true).unwrap();
        let columns = expressions.of(&some_minutes(), Interval::DAY).unwrap();
        assert_eq!(columns[0].len(), 1);
    }

    #[test]
    fn a_value_that_cannot_be_had_is_told() {
        for (text, expected) in [
            (
                "sum(trade_count) / (count(*) - count(*)) AS a",
                "my.sql: Divide by zero",
            ),
            (
                "sum(9223372036854775807) AS a",
                "my.sql: a sum of whole numbers leaves 64 bits",
            ),
        ] {
            let expressions = Expressions::check("my.sql", text, true).unwrap();
            let said = expressions.of(&some_minutes(), Interval::HOUR).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}
