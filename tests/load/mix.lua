-- Sends the requests of a file in turn: a line each, METHOD, PATH and BODY with tabs between.
-- {n} becomes a name that no other request has. Counts the events that were acknowledged.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  lines = {}
  for line in io.lines(args[1]) do
    local method, path, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    table.insert(lines, {method, path, body})
  end
  sent = math.floor(#lines / 7) * number
  acknowledged = 0
  headers = {["Content-Type"] = "application/json"}
end

function request()
  sent = sent + 1
  local line = lines[(sent - 1) % #lines + 1]
  local name = "wrk-" .. number .. "-" .. sent
  local path, body = line[2]:gsub("{n}", name), nil
  if line[3] ~= "" then
    body = line[3]:gsub("{n}", name)
  end
  return wrk.format(line[1], path, headers, body)
end

function response(status, _, body)
  local accepted = status == 200 and body:match('^{"accepted":(%d+)')
  if accepted then
    acknowledged = acknowledged + tonumber(accepted)
  end
end

function done(summary, latency)
  local accepted = 0
  for _, thread in ipairs(threads) do
    accepted = accepted + thread:get("acknowledged")
  end
  io.write(string.format(
    '\n{"requests":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d,"acknowledged":%d,"seconds":%.3f,"p50":%.3f,"p99":%.3f}\n',
    summary.requests, summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout,
    summary.errors.status, accepted, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
