-- What wrk sends: one event a request, or a batch of BATCH. KEYS is a file with a browser key a line; a request takes
-- the next one. DELAY is in milliseconds, between the requests of a connection.
local keys = {}
for key in io.lines(os.getenv("KEYS")) do keys[#keys + 1] = key end
local batch = tonumber(os.getenv("BATCH") or "0")
local pause = tonumber(os.getenv("DELAY") or "0")
local run = os.getenv("RUN")
local sent, threads = 0, 0

function setup(thread)
  thread:set("id", threads)
  threads = threads + 1
end

function init()
  wrk.method = "POST"
  wrk.headers = {  -- a browser's usual twelve
    ["Host"] = "collect.example.com",
    ["User-Agent"] = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ["Accept"] = "*/*",
    ["Accept-Encoding"] = "gzip, deflate, br, zstd",
    ["Accept-Language"] = "en-GB,en;q=0.9",
    ["Content-Type"] = "text/plain;charset=UTF-8",
    ["Origin"] = "https://yourdomain.com",
    ["Referer"] = "https://yourdomain.com/",
    ["Sec-Fetch-Dest"] = "empty",
    ["Sec-Fetch-Mode"] = "cors",
    ["Sec-Fetch-Site"] = "cross-site",
    ["Priority"] = "u=4, i",
  }
end

if pause > 0 then
  function delay() return pause * (0.5 + math.random()) end
end

local function event(key)
  sent = sent + 1
  return string.format(
    '{%s"event_name":"ButtonClick","event_data":{"category":"CTA","label":"Homepage Hero","value":1,' ..
    '"custom_field":"custom value"},"url":"https://yourdomain.com/page/%d?utm_source=newsletter",' ..
    '"page_title":"Home","referrer":"https://referrer.com/","sessionId":"s-%d","eventId":"%s-%d-%d"}',
    key and string.format('"projectKey":"%s",', key) or "", sent % 200, sent % 1000, run, id, sent)
end

function request()
  local key = keys[sent % #keys + 1]
  if batch == 0 then return wrk.format(nil, "/v1/events", nil, event(key)) end
  local events = {}
  for n = 1, batch do events[n] = event() end
  local body = string.format('{"projectKey":"%s","events":[%s]}', key, table.concat(events, ","))
  return wrk.format(nil, "/v1/batch", nil, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p99_ms": %f}\n', summary.requests,
    summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
