test "London calls Paris by its short number" {
  call   = { from = "2001", to = "3001" }
  expect = { route = "short", answered = "3001", caller_id = "2001" }
}
test "nobody there" {
  call    = { from = "2001", to = "3001" }
  outcome = { "3001" = "no_answer" }
  expect  = { steps = ["dial", "play"], status = 200 }
}
test "London calls outside" {
  call   = { from = "2001", to = "0033 1 23 45 67 89" }
  expect = { route = "london-outside", tried = ["trunk.london"], caller_id = "+442079462001" }
}
test "the line in London is cut" {
  call    = { from = "2001", to = "020 7946 0018" }
  outcome = { "trunk.london" = "unreachable" }
  expect  = { tried = ["trunk.london", "trunk.paris"], answered = "trunk.paris" }
}
test "Paris calls outside" {
  call   = { from = "3002", to = "+3225551234" }
  expect = { route = "paris-outside", tried = ["trunk.paris"], caller_id = "+33140003002" }
}
test "London may not call Belgium" {
  call   = { from = "2002", to = "+3225551234" }
  expect = { status = 403 }
}
test "a colleague's whole number stays inside" {
  call   = { from = "3002", to = "+442079462001" }
  expect = { route = "own-numbers", answered = "2001" }
}
test "a direct number from outside" {
  call   = { trunk = "paris", caller = "+3225551234", to = "+33140003001" }
  expect = { route = "own-numbers-paris", answered = "3001" }
}
test "the letterhead in the morning" {
  call   = { trunk = "london", caller = "+3225551234", to = "+442079462000", at = "2026-11-24T08:30:00Z" }
  expect = { route = "london-by-paris", tried = ["3001", "3002"] }
}
test "the letterhead by day" {
  call   = { trunk = "london", caller = "+3225551234", to = "+442079462000", at = "2026-11-24T12:00:00Z" }
  expect = { route = "london-open", tried = ["2001", "2002", "2003"] }
}
test "the letterhead at night" {
  call   = { trunk = "london", caller = "+3225551234", to = "+442079462000", at = "2026-11-24T22:00:00Z" }
  expect = { route = "london-closed", plays = ["sounds/closed.wav"] }
}
test "London has gone home early, Paris has not" {
  call   = { trunk = "london", caller = "+3225551234", to = "+442079462000", at = "2026-11-24T12:00:00Z" }
  state  = { closed = ["london"] }
  expect = { route = "london-by-paris" }
}
test "help in Paris, shown with the caller's own number" {
  call   = { from = "3001", to = "112" }
  expect = { tried = ["trunk.london"], caller_id = "+33140003001" }
}
