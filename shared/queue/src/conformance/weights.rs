//! What requests to a host weigh.

use super::*;

const HOST: &str = "fapi.binance.com";

/// And those who wait as long as they are told are served.
pub async fn no_minute_holds_more_weight_than_the_most(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    let mut granted = Vec::new();
    let mut at_ms = 0;
    for round in 0..400_u32 {
        let asks = if round.is_multiple_of(2) {
            &queue
        } else {
            &other
        };
        let weight = 1 + round * 7 % 40;
        let wait = asks.take_weight(HOST, weight, 100).await.unwrap();
        if let Some(wait) = wait {
            assert!(wait <= Duration::from_secs(70), "{wait:?}");
            clock.advance(wait);
            at_ms += wait.as_millis();
            assert_eq!(asks.take_weight(HOST, weight, 100).await.unwrap(), None);
        }
        granted.push((at_ms, weight));
        let step = Duration::from_millis(u64::from(round * 97 % 1_500));
        clock.advance(step);
        at_ms += step.as_millis();
    }
    for (start, _) in &granted {
        let minute = granted
            .iter()
            .filter(|(at, _)| (*start..start + 60_000).contains(at));
        let weight: u32 = minute.map(|(_, weight)| weight).sum();
        assert!(weight <= 100, "{weight} within a minute from {start}");
    }
}

/// Its hold as well.
pub async fn each_host_is_counted_by_itself(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    assert_eq!(queue.take_weight(HOST, 100, 100).await.unwrap(), None);
    let hold = Some(Duration::from_secs(600));
    queue.correct_weight(HOST, None, hold).await.unwrap();

    assert_eq!(queue.take_weight(HOST, 1, 100).await.unwrap(), hold);
    assert_eq!(
        queue
            .take_weight("api.binance.com", 100, 100)
            .await
            .unwrap(),
        None
    );
}

/// By everyone, and the longest one counts.
pub async fn a_hold_is_kept_by_all(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    let seconds = Duration::from_secs;
    queue
        .correct_weight(HOST, None, Some(seconds(30)))
        .await
        .unwrap();
    queue
        .correct_weight(HOST, None, Some(seconds(5)))
        .await
        .unwrap();

    assert_eq!(
        other.take_weight(HOST, 1, 100).await.unwrap(),
        Some(seconds(30))
    );
    clock.advance(seconds(30) - TICK);
    assert_eq!(other.take_weight(HOST, 1, 100).await.unwrap(), Some(TICK));
    clock.advance(TICK);
    assert_eq!(other.take_weight(HOST, 1, 100).await.unwrap(), None);
}

/// What others take of the same address counts; what we took ourselves counts once.
pub async fn what_the_host_counted_is_believed_when_it_is_more(fixture: &impl Fixture) {
    let Fresh {
        queue,
        other,
        clock,
        guard: _guard,
    } = fixture.fresh().await;
    assert_eq!(queue.take_weight(HOST, 40, 100).await.unwrap(), None);
    queue.correct_weight(HOST, Some(40), None).await.unwrap();
    queue.correct_weight(HOST, Some(3), None).await.unwrap();
    assert_eq!(queue.take_weight(HOST, 60, 100).await.unwrap(), None);

    clock.advance(Duration::from_secs(70));
    assert_eq!(queue.take_weight(HOST, 10, 100).await.unwrap(), None);
    queue.correct_weight(HOST, Some(95), None).await.unwrap();

    assert_eq!(other.take_weight(HOST, 5, 100).await.unwrap(), None);
    assert!(other.take_weight(HOST, 1, 100).await.unwrap().is_some());
    clock.advance(Duration::from_secs(70));
    assert_eq!(other.take_weight(HOST, 100, 100).await.unwrap(), None);
}

/// Or the host would never be asked.
pub async fn a_weight_beyond_the_most_waits_for_an_empty_minute(fixture: &impl Fixture) {
    let Fresh {
        queue,
        clock,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    assert_eq!(queue.take_weight(HOST, 1, 10).await.unwrap(), None);

    let wait = queue
        .take_weight(HOST, 50, 10)
        .await
        .unwrap()
        .expect("one is taken");
    clock.advance(wait);

    assert_eq!(queue.take_weight(HOST, 50, 10).await.unwrap(), None);
}

/// With everything else.
pub async fn clearing_forgets_weights(fixture: &impl Fixture) {
    let Fresh {
        queue,
        guard: _guard,
        ..
    } = fixture.fresh().await;
    queue.take_weight(HOST, 100, 100).await.unwrap();
    queue.correct_weight(HOST, None, Some(LEASE)).await.unwrap();

    queue.clear().await.unwrap();

    assert_eq!(queue.take_weight(HOST, 100, 100).await.unwrap(), None);
}
