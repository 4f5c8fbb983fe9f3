-- Sends the load that BENCH_LOAD describes, and looks at every answer.
local load = dofile(os.getenv("BENCH_LOAD"))
local started, right = {}, {}
for _, body in ipairs(load.same or {}) do right[body] = true end

if not load.varies then -- wrk makes the request once
  wrk.method, wrk.path, wrk.headers, wrk.body = load.method, load.path, load.headers, load.body
end

function setup(thread) table.insert(started, thread) end

function init(_) sent, wrong = load.first, 0 end

local function filled(text, n)
  if type(text) ~= "string" then return text end
  text = text:gsub("{n}", tostring(n))
  if #load.ids > 0 then
    text = text:gsub("{id}", load.ids[n % #load.ids + 1])
    text = text:gsub("{value}", math.floor(n / #load.ids) % 2 == 0 and "1" or "-1")
  end
  return text
end

if load.varies then
  function request()
    local headers = {}
    for name, value in pairs(load.headers) do headers[name] = filled(value, sent) end
    local path, body = filled(load.path, sent), filled(load.body, sent)
    sent = sent + 1
    return wrk.format(load.method, path, headers, body)
  end
end

function response(status, _, body)
  if status ~= load.status or (load.same and not right[body])
    or (load.holds and not body:find(load.holds, 1, true)) then
    wrong = wrong + 1
  end
end

function done(summary, latency, _)
  local failed = summary.errors
  local lost = failed.connect + failed.read + failed.write + failed.timeout
  io.write(string.format(
    'BENCH {"requests": %d, "seconds": %f, "wrong": %d, "sent": %d, "p50": %f, "p99": %f}\n',
    summary.requests, summary.duration / 1e6, started[1]:get("wrong") + lost,
    started[1]:get("sent"), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
