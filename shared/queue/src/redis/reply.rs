//! Reading what a script returned, field by field.

use redis::Value;

use crate::QueueError;

/// The fields of an array, taken from the front.
pub(super) struct Fields {
    queue: std::sync::Arc<str>,
    rest: std::vec::IntoIter<Value>,
}

impl Fields {
    /// Of an array.
    pub(super) fn of(queue: &std::sync::Arc<str>, value: Value) -> Result<Self, QueueError> {
        match value {
            Value::Array(fields) => Ok(Self {
                queue: queue.clone(),
                rest: fields.into_iter(),
            }),
            other => Err(damaged(queue, &format!("{other:?} in place of a list"))),
        }
    }

    /// Whether there are no more.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.len() == 0
    }

    /// The next as it is; nil past the end, where Lua drops trailing nils.
    fn next(&mut self) -> Value {
        self.rest.next().unwrap_or(Value::Nil)
    }

    pub(super) fn opt_int(&mut self) -> Result<Option<i64>, QueueError> {
        match self.next() {
            Value::Nil => Ok(None),
            Value::Int(number) => Ok(Some(number)),
            Value::BulkString(bytes) => {
                let number = std::str::from_utf8(&bytes)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let told = || damaged(&self.queue, "text in place of a number");
                number.map(Some).ok_or_else(told)
            }
            other => Err(damaged(
                &self.queue,
                &format!("{other:?} in place of a number"),
            )),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, QueueError> {
        let number = self.opt_int()?;
        number.ok_or_else(|| damaged(&self.queue, "nothing in place of a number"))
    }

    /// A count; never negative in what the scripts write.
    pub(super) fn count(&mut self) -> Result<u64, QueueError> {
        let number = self.int()?;
        u64::try_from(number).map_err(|_| damaged(&self.queue, "a negative count"))
    }

    pub(super) fn small(&mut self) -> Result<u32, QueueError> {
        let number = self.int()?;
        u32::try_from(number).map_err(|_| damaged(&self.queue, "a count out of range"))
    }

    pub(super) fn opt_text(&mut self) -> Result<Option<String>, QueueError> {
        match self.next() {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => {
                let text = String::from_utf8(bytes);
                text.map(Some)
                    .map_err(|_| damaged(&self.queue, "bytes in place of text"))
            }
            Value::SimpleString(text) => Ok(Some(text)),
            other => Err(damaged(&self.queue, &format!("{other:?} in place of text"))),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, QueueError> {
        let text = self.opt_text()?;
        text.ok_or_else(|| damaged(&self.queue, "nothing in place of text"))
    }

    /// A list inside.
    pub(super) fn list(&mut self) -> Result<Fields, QueueError> {
        let value = self.next();
        Fields::of(&self.queue, value)
    }

    /// A list inside, if it is there.
    pub(super) fn opt_list(&mut self) -> Result<Option<Fields>, QueueError> {
        match self.next() {
            Value::Nil => Ok(None),
            value => Fields::of(&self.queue, value).map(Some),
        }
    }

    /// What contradicts itself in the store.
    pub(super) fn damaged(&self, why: &str) -> QueueError {
        damaged(&self.queue, why)
    }
}

pub(super) fn damaged(queue: &str, why: &str) -> QueueError {
    QueueError::Damaged {
        queue: queue.to_owned(),
        why: why.to_owned(),
    }
}
