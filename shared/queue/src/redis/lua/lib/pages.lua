-- An ordered set of strings at a fifth of a sorted set's memory. Its strings lie in pages: a HASH of
-- page name → strings ascending, one a line. A ZSET beside it (scores 0) orders the names; a name is a
-- lower bound of what is in its page, and the first page is called "".
local PAGE_MOST = 64

-- The page that a string belongs to, whether it is in there or not; nil when there is no page so low.
local function page_name(names, text)
    return redis.call('ZREVRANGEBYLEX', names, '[' .. text, '-', 'LIMIT', 0, 1)[1]
end

local function drop_page(names, pages, name)
    redis.call('HDEL', pages, name)
    redis.call('ZREM', names, name)
end

-- Pages taken apart for changes, by hash and name; `save_pages` puts them together again.
local opened = {}

local function open_page(names, pages, name)
    local of_set = opened[pages]
    if not of_set then
        of_set = { names = names, pages = {} }
        opened[pages] = of_set
    end
    local lines = of_set.pages[name]
    if not lines then
        lines = {}
        local page = redis.call('HGET', pages, name)
        if page then
            for line in string.gmatch(page, '[^\n]+') do
                lines[#lines + 1] = line
            end
        else
            redis.call('ZADD', names, 0, name)
        end
        of_set.pages[name] = lines
    end
    return lines
end

-- The position of the first line that is not below `text`.
local function lower_bound(lines, text)
    local low, high = 1, #lines + 1
    if high > 1 and lines[high - 1] < text then
        return high
    end
    while low < high do
        local middle = math.floor((low + high) / 2)
        if lines[middle] < text then
            low = middle + 1
        else
            high = middle
        end
    end
    return low
end

-- Adds a string that is not there.
local function insert_line(names, pages, text)
    local lines = open_page(names, pages, page_name(names, text) or '')
    table.insert(lines, lower_bound(lines, text), text)
    if #lines > PAGE_MOST then
        local first = math.floor(#lines / 2) + 1
        local upper = open_page(names, pages, lines[first])
        for position = first, #lines do
            upper[#upper + 1] = lines[position]
            lines[position] = nil
        end
    end
end

-- Takes a string out, if it is there.
local function remove_line(names, pages, text)
    local name = page_name(names, text)
    if not name then
        return
    end
    local lines = open_page(names, pages, name)
    local position = lower_bound(lines, text)
    if lines[position] == text then
        table.remove(lines, position)
    end
end

local function save_pages()
    for pages, of_set in pairs(opened) do
        for name, lines in pairs(of_set.pages) do
            if #lines == 0 then
                drop_page(of_set.names, pages, name)
            else
                redis.call('HSET', pages, name, table.concat(lines, '\n'))
            end
        end
    end
    opened = {}
end

-- Whether strings may be there that begin with `beginning`; false only when there is none.
local function may_begin_with(names, pages, beginning)
    -- No byte of a string is 255, so this is behind all of them.
    local name = page_name(names, beginning .. '\255')
    if not name then
        return false
    end
    local lines = opened[pages] and opened[pages].pages[name]
    local page = lines and table.concat(lines, '\n') or redis.call('HGET', pages, name) or ''
    -- From a page that begins among them, they may reach back into the one before.
    return name >= beginning or string.find(page, beginning, 1, true) ~= nil
end
