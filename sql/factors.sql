-- The built-in factors, as expressions over the minutes of a bar.
--
-- sum is exact and rounded once; what is divided by zero is null.
-- minute_of_bar counts from 1, minutes_of_bar is the room that the bar has.

sum(trade_count) AS trade_count,
sum(base_volume) AS base_volume,
sum(quote_volume) AS quote_volume,
sum(taker_buy_qty) AS taker_buy_qty,
sum(taker_sell_qty) AS taker_sell_qty,
sum(taker_buy_quote) AS taker_buy_quote,
sum(taker_sell_quote) AS taker_sell_quote,
sum(taker_buy_quote_sq) AS taker_buy_quote_sq,
sum(taker_sell_quote_sq) AS taker_sell_quote_sq,
sum(taker_buy_trade_count) AS taker_buy_trade_count,
sum(taker_sell_trade_count) AS taker_sell_trade_count,
sum(whale_buy_quote) AS whale_buy_quote,
sum(whale_sell_quote) AS whale_sell_quote,
sum(retail_buy_quote) AS retail_buy_quote,
sum(retail_sell_quote) AS retail_sell_quote,

first_value(price_first ORDER BY minute) AS price_open,
last_value(price_last ORDER BY minute) AS price_close,
max(price_high) AS price_high,
min(price_low) AS price_low,

sum(taker_buy_qty) - sum(taker_sell_qty) AS cvd_qty,
sum(taker_buy_quote) - sum(taker_sell_quote) AS cvd_quote,
sum(quote_volume) / nullif(sum(base_volume), 0) AS vwap,
sum(whale_buy_quote) - sum(whale_sell_quote) AS whale_cvd_quote,
sum(retail_buy_quote) - sum(retail_sell_quote) AS retail_cvd_quote,

sum(quote_volume) / nullif(sum(trade_count), 0) AS avg_trade_quote,
sum(base_volume) / nullif(sum(trade_count), 0) AS avg_trade_base,
sum(taker_buy_quote) / nullif(sum(taker_buy_trade_count), 0) AS taker_buy_avg_trade_quote,
sum(taker_sell_quote) / nullif(sum(taker_sell_trade_count), 0) AS taker_sell_avg_trade_quote,

sum(taker_buy_quote_sq) / nullif(sum(taker_buy_quote) * sum(taker_buy_quote), 0) AS taker_buy_hhi_quote,
sum(taker_sell_quote_sq) / nullif(sum(taker_sell_quote) * sum(taker_sell_quote), 0) AS taker_sell_hhi_quote,
abs(sum(taker_buy_quote) - sum(taker_sell_quote))
    / nullif(sum(taker_buy_quote) + sum(taker_sell_quote), 0) AS imbalance_ratio_quote,

-- Later minutes weigh more: 1, 2, … over 1 + 2 + … of all the minutes that the bar has room for.
sum(minute_of_bar * (taker_buy_quote - taker_sell_quote))
    / (max(minutes_of_bar) * (max(minutes_of_bar) + 1) / 2) AS tw_cvd_quote_norm,

last_value(price_last ORDER BY minute) - first_value(price_first ORDER BY minute) AS price_change,
(sum(taker_buy_quote) - sum(taker_sell_quote))
    / nullif(abs(last_value(price_last ORDER BY minute) - first_value(price_first ORDER BY minute)), 0)
    AS cvd_per_abs_price_change,
