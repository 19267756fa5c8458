test "a customer on a Tuesday" {
  call   = { trunk = "alpha", caller = "+33140000000", to = "+442079460100", at = "2026-11-24T10:00:00Z" }
  expect = { route = "support-open", tried = ["2001"], answered = "2001", caller_id = "+33140000000" }
}
test "six agents are busy" {
  call    = { trunk = "beta", caller = "+33140000000", to = "+442079460100", at = "2026-11-24T10:00:00Z" }
  outcome = { "2001" = "busy", "2002" = "busy", "2003" = "busy", "2004" = "no_answer", "2005" = "busy", "2006" = "unreachable" }
  expect  = { tried = ["2001", "2002", "2003", "2004", "2005", "2006", "2101", "2102"], answered = "2101" }
}
test "and the leads too" {
  call    = { trunk = "beta", caller = "+33140000000", to = "+442079460100", at = "2026-11-24T10:00:00Z" }
  state   = { do_not_disturb = ["2001", "2002", "2003", "2004", "2005"] }
  outcome = { "2006" = "busy", "2101" = "busy", "2102" = "no_answer" }
  expect  = { tried = ["2006", "2101", "2102"], plays = ["sounds/busy.wav"], status = 200 }
}
test "Sunday" {
  call   = { trunk = "alpha", caller = "+33140000000", to = "+442079460100", at = "2026-11-22T10:00:00Z" }
  expect = { route = "support-closed", plays = ["sounds/closed.wav"], status = 480 }
}
test "closed by hand: a fire drill" {
  call   = { trunk = "alpha", caller = "+33140000000", to = "+442079460100", at = "2026-11-24T10:00:00Z" }
  state  = { closed = ["support"] }
  expect = { route = "support-closed" }
}
test "orders overflow to support" {
  call    = { trunk = "alpha", caller = "+33140000000", to = "+442079460101" }
  outcome = { "2007" = "busy", "2008" = "busy", "2009" = "busy", "2010" = "busy" }
  expect  = { route = "orders", tried = ["2007", "2008", "2009", "2010", "2001"], answered = "2001" }
}
test "a caller whom we do not take" {
  call   = { trunk = "alpha", caller = "+442079460999", to = "+442079460101" }
  expect = { route = "", status = 607 }
}
test "an agent asks for help" {
  call   = { from = "2003", to = "*1" }
  expect = { route = "leads", tried = ["2101", "2102"] }
}
test "colleagues" {
  call   = { from = "2003", to = "2004" }
  expect = { route = "desk", answered = "2004", caller_id = "2003" }
}
test "a customer is called back, over the second carrier" {
  call    = { from = "2003", to = "020 7946 0018" }
  outcome = { "trunk.alpha" = 503 }
  expect  = { route = "outside", tried = ["trunk.alpha", "trunk.beta"], answered = "trunk.beta", caller_id = "+442079460100" }
}
test "a wrong number is wrong on every carrier" {
  call    = { from = "2003", to = "020 7946 0018" }
  outcome = { "trunk.alpha" = 404 }
  expect  = { tried = ["trunk.alpha"], status = 404 }
}
test "a service that costs by the minute" {
  call   = { from = "2101", to = "0909 879 0000" }
  expect = { route = "", status = 403 }
}
test "help, and the first carrier does not know the number" {
  call    = { from = "2003", to = "999" }
  outcome = { "trunk.alpha" = 404 }
  expect  = { number = "999", tried = ["trunk.alpha", "trunk.beta"], answered = "trunk.beta", caller_id = "+442079460100" }
}
