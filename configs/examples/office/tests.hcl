# What must stay true of this dialplan: `tandem test configs/examples/office` runs these, and so does every reload.

test "a colleague answers" {
  call   = { from = "1001", to = "1002" }
  expect = { route = "colleague", tried = ["1002"], answered = "1002", caller_id = "1001" }
}
test "a busy colleague" {
  call    = { from = "1001", to = "1002" }
  outcome = { "1002" = "busy" }
  expect  = { steps = ["dial", "play", "reject"], plays = ["sounds/busy.wav"], status = 486 }
}
test "nobody at the desk: everybody rings, but not the caller" {
  call    = { from = "1001", to = "1002" }
  outcome = { "1002" = "no_answer" }
  expect  = { tried = ["1002", "1002", "1003", "1004"], answered = "1003" }
}
test "a public number of our own stays inside" {
  call   = { from = "1001", to = "020 7946 0019" }
  expect = { route = "own-number", number = "+442079460019", answered = "1002" }
}
test "the lobby reaches the reception" {
  call   = { from = "1900", to = "1001" }
  expect = { route = "lobby", answered = "1001" }
}
test "and nobody else" {
  call   = { from = "1900", to = "1002" }
  expect = { route = "", status = 403 }
}
test "sales on a Monday morning" {
  call   = { from = "1004", to = "600", at = "2026-11-23T10:00:00Z" }
  expect = { route = "sales-open", tried = ["1001"], answered = "1001" }
}
test "sales in summer, by the clock on the wall" {
  call   = { from = "1004", to = "600", at = "2026-07-06T08:30:00Z" }
  expect = { route = "sales-open" }
}
test "sales on a Sunday" {
  call   = { from = "1004", to = "600", at = "2026-11-22T10:00:00Z" }
  expect = { route = "sales-closed", plays = ["sounds/closed.wav"], status = 200 }
}
test "sales at Christmas, a Friday" {
  call   = { from = "1004", to = "600", at = "2026-12-25T10:00:00Z" }
  expect = { route = "sales-closed" }
}
test "echo" {
  call   = { from = "1900", to = "*43" }
  expect = { route = "echo", steps = ["echo"], status = 200 }
}
test "the tone that lines are measured with" {
  call   = { from = "1001", to = "*44" }
  expect = { route = "milliwatt" }
}
test "no line to the outside" {
  call   = { from = "1001", to = "020 7946 0100" }
  expect = { route = "outside", status = 503 }
}
test "abroad is not for staff" {
  call   = { from = "1001", to = "0033 1 40 00 00 00" }
  expect = { route = "", number = "+33140000000", status = 403 }
}
