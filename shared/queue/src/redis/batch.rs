//! Calls that come while two trips are under way wait for one of them, and then go together: the busier a
//! process, the fewer the round trips. A call that comes alone goes at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::RedisResult;
use tokio::sync::oneshot;

/// Calls that go together at most, so that a server is never busy for long.
const MOST: usize = 64;

/// Trips under way at most: while one is answered, the server has the next.
const TRIPS: usize = 3;

/// Requests waiting, and how many trips are under way.
pub(super) struct Batch<Request, Answer>(Arc<Mutex<State<Request, Answer>>>);

struct State<Request, Answer> {
    waiting: VecDeque<Waiting<Request, Answer>>,
    /// Trips under way.
    trips: usize,
}

struct Waiting<Request, Answer> {
    request: Request,
    answer: oneshot::Sender<RedisResult<Answer>>,
}

impl<Request, Answer> Default for Batch<Request, Answer> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            waiting: VecDeque::new(),
            trips: 0,
        })))
    }
}

impl<Request: Send + 'static, Answer: Send + 'static> Batch<Request, Answer> {
    /// Adds a request, and waits for its answer. `weight` bounds what goes together; `send` answers all that
    /// it is given, in their order; `start` runs the sending where it goes on when this call is dropped.
    pub(super) async fn call<Sending>(
        &self,
        request: Request,
        weight: fn(&Request) -> usize,
        start: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>),
        send: impl Fn(Vec<Request>) -> Sending + Send + 'static,
    ) -> RedisResult<Answer>
    where
        Sending: Future<Output = RedisResult<Vec<Answer>>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let is_free = {
            let mut state = lock(&self.0);
            state.waiting.push_back(Waiting { request, answer });
            let is_free = state.trips < TRIPS;
            state.trips += usize::from(is_free);
            is_free
        };
        if is_free {
            start(Box::pin(send_all(self.0.clone(), weight, send)));
        }
        answered.await.unwrap_or_else(|_| {
            Err(std::io::Error::other("the thread of the connection ended").into())
        })
    }
}

async fn send_all<Request, Answer, Sending>(
    state: Arc<Mutex<State<Request, Answer>>>,
    weight: fn(&Request) -> usize,
    send: impl Fn(Vec<Request>) -> Sending,
) where
    Sending: Future<Output = RedisResult<Vec<Answer>>>,
{
    loop {
        let Some((requests, answers)) = take(&mut lock(&state), weight) else {
            return;
        };
        match send(requests).await {
            Ok(all) => {
                for (answer, to) in all.into_iter().zip(answers) {
                    // Whoever asked may have gone.
                    let _ = to.send(Ok(answer));
                }
            }
            Err(error) => {
                for to in answers {
                    let _ = to.send(Err(error.clone()));
                }
            }
        }
    }
}

type Taken<Request, Answer> = (Vec<Request>, Vec<oneshot::Sender<RedisResult<Answer>>>);

/// The next that go together; `None` ends the sending.
fn take<Request, Answer>(
    state: &mut State<Request, Answer>,
    weight: fn(&Request) -> usize,
) -> Option<Taken<Request, Answer>> {
    let (mut requests, mut answers, mut sum) = (Vec::new(), Vec::new(), 0);
    while let Some(next) = state.waiting.front() {
        sum += weight(&next.request);
        if !requests.is_empty() && sum > MOST {
            break;
        }
        let next = state.waiting.pop_front().expect("it was looked at");
        requests.push(next.request);
        answers.push(next.answer);
    }
    if requests.is_empty() {
        state.trips -= 1;
        return None;
    }
    Some((requests, answers))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn start(work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(work);
    }

    #[tokio::test]
    async fn calls_that_come_together_go_together_and_each_gets_its_own_answer() {
        let batch = Batch::<usize, usize>::default();
        let trips = Arc::new(AtomicUsize::new(0));
        let call = |number| {
            let trips = trips.clone();
            batch.call(
                number,
                |_| 1,
                start,
                move |numbers: Vec<usize>| {
                    trips.fetch_add(1, Ordering::Relaxed);
                    async move {
                        tokio::task::yield_now().await;
                        Ok(numbers.iter().map(|number| number * 2).collect())
                    }
                },
            )
        };

        let answers = futures::future::join_all((0..200).map(call)).await;

        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(
            answers,
            (0..200).map(|number| number * 2).collect::<Vec<_>>()
        );
        let trips = trips.load(Ordering::Relaxed);
        assert!((200_usize.div_ceil(MOST)..=6).contains(&trips), "{trips}");
    }

    #[tokio::test]
    async fn heavy_calls_go_alone_and_an_error_reaches_all_of_a_trip() {
        let batch = Batch::<usize, usize>::default();
        let call = |number| {
            batch.call(
                number,
                |number| *number,
                start,
                |numbers: Vec<usize>| async move {
                    match numbers.as_slice() {
                        [one] => Ok(vec![*one]),
                        _ => Err(std::io::Error::other("too many").into()),
                    }
                },
            )
        };

        let (heavy, light, also_light) = tokio::join!(call(MOST * 2), call(1), call(2));

        assert_eq!(heavy.unwrap(), MOST * 2);
        assert!(light.is_err() && also_light.is_err());
    }
}
