test "sales" {
  call   = { from = "9001", to = "1", at = "2026-11-24T10:00:00+01:00" }
  expect = { route = "sales", answered = "101", caller_name = "Visitor of the web page" }
}
test "sales are on the telephone" {
  call    = { from = "9001", to = "1", at = "2026-11-24T10:00:00+01:00" }
  outcome = { "101" = "busy" }
  expect  = { tried = ["101", "102"], answered = "102" }
}
test "support" {
  call   = { from = "9008", to = "2", at = "2026-11-24T10:00:00+01:00" }
  expect = { route = "support", answered = "102" }
}
test "at night" {
  call   = { from = "9008", to = "2", at = "2026-11-24T23:00:00+01:00" }
  expect = { route = "later", status = 480 }
}
test "on the fourteenth of July, a Tuesday" {
  call   = { from = "9008", to = "1", at = "2026-07-14T10:00:00+02:00" }
  expect = { route = "later" }
}
test "a visitor tries his microphone" {
  call   = { from = "9001", to = "9" }
  expect = { route = "try-the-microphone", steps = ["echo"] }
}
test "a visitor calls no other visitor" {
  call   = { from = "9001", to = "9002" }
  expect = { route = "", status = 404 }
}
test "nor a desk past the page's buttons" {
  call   = { from = "9001", to = "101" }
  expect = { route = "", status = 403 }
}
test "nor the world" {
  call   = { from = "9001", to = "+33140000000" }
  expect = { route = "", status = 403 }
}
test "the desks call each other" {
  call   = { from = "101", to = "102" }
  expect = { route = "between-desks", answered = "102" }
}
