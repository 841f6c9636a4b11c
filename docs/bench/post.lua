-- For wrk: posts single events, each with an id of its own and the twelve headers a browser sends.
--
--   CATCHMENT_KEY=pk_… wrk --threads 1 --connections 64 --duration 30s --latency \
--     --script docs/bench/post.lua http://127.0.0.1:8080/v1/events
--
-- CATCHMENT_KEY     a browser key
-- CATCHMENT_ORIGIN  one of the project's origins; https://yourdomain.com where it is not set

local key = os.getenv("CATCHMENT_KEY")
local origin = os.getenv("CATCHMENT_ORIGIN") or "https://yourdomain.com"

-- wrk adds the other two: Host and Content-Length.
local headers = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  ["Accept"] = "*/*",
  ["Accept-Language"] = "en-US,en;q=0.5",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Content-Type"] = "application/json",
  ["Origin"] = origin,
  ["Referer"] = origin .. "/",
  ["Sec-Fetch-Dest"] = "empty",
  ["Sec-Fetch-Mode"] = "cors",
  ["Sec-Fetch-Site"] = "cross-site",
}

local body = '{"projectKey":"%s","event_name":"ButtonClick","event_data":{"category":"CTA","label":"Homepage Hero",'
  .. '"value":1,"custom_field":"custom value"},"url":"%s/page?utm_source=newsletter&utm_medium=email",'
  .. '"page_title":"Home","page_path":"/page","referrer":"https://referrer.com/","sessionId":"%s","eventId":"%s-%d"}'

local threads = 0

function setup(thread)
  if not key then
    io.stderr:write("set CATCHMENT_KEY to a browser key\n")
    os.exit(2)
  end
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  -- A run and a thread never share an id with another: an id that comes twice is a duplicate, and cheaper.
  prefix = string.format("%x-%d", os.time(), number)
  count = 0
end

function request()
  count = count + 1
  local event = string.format(body, key, origin, prefix, prefix, count)
  return wrk.format("POST", nil, headers, event)
end

function done(summary, latency, requests)
  print(string.format("not 200: %d; connections that failed: %d", summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
