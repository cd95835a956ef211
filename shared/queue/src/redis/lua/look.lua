-- Returns the schema of the queue (nil when nothing was ever planned) and its settings (nil when not fixed).
return { redis.call('HGET', META, 'schema'), redis.call('HGET', META, 'settings') }
