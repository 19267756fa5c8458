test "Paris: blue is the cheaper" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+33140000000", at = "2026-11-23T10:00:00Z" }
  expect = { route = "abroad", tried = ["trunk.blue"], answered = "trunk.blue", caller_id = "+442079460018" }
}
test "Paris: next year green is" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+33140000000", at = "2027-01-01T00:00:00Z" }
  expect = { tried = ["trunk.green"] }
}
test "a French mobile has another price" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+33612345678", at = "2026-11-23T10:00:00Z" }
  outcome = { "trunk.green" = 503 }
  expect  = { tried = ["trunk.green", "trunk.blue"] }
}
test "blue has no price for Italy" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+390612345678", at = "2026-11-23T10:00:00Z" }
  outcome = { "trunk.green" = 480 }
  expect  = { tried = ["trunk.green"], status = 480 }
}
test "nobody has one for Spain" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+34911234567", at = "2026-11-23T10:00:00Z" }
  expect = { route = "abroad", tried = [], status = 404 }
}
test "blue is silent" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+33140000000", at = "2026-11-23T10:00:00Z" }
  outcome = { "trunk.blue" = "timeout" }
  expect  = { tried = ["trunk.blue", "trunk.green"], answered = "trunk.green" }
}
test "busy is busy" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+33140000000", at = "2026-11-23T10:00:00Z" }
  outcome = { "trunk.blue" = "busy" }
  expect  = { tried = ["trunk.blue"], status = 486 }
}
test "both are down" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+12125550100", at = "2026-11-23T10:00:00Z" }
  outcome = { "trunk.blue" = 503, "trunk.green" = 500 }
  expect  = { tried = ["trunk.green", "trunk.blue"], status = 480 }
}
test "London goes by the contract" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+442079460200" }
  outcome = { "trunk.blue" = 503 }
  expect  = { route = "london", tried = ["trunk.blue", "trunk.green"] }
}
test "personal numbers are refused" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+447012345678" }
  expect = { route = "refused/+4470...", status = 403 }
}
test "premium services are refused" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+449061234567" }
  expect = { route = "refused/+449...", status = 403 }
}
test "so are networks of no country" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+8816123456789" }
  expect = { route = "refused/+88...", status = 403 }
}
test "no call back to who rang once" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+221712345678" }
  expect = { route = "", status = 603 }
}
test "a call for the customer" {
  call   = { trunk = "green", caller = "+12125550100", to = "+442079460018" }
  expect = { route = "to-the-customer", tried = ["trunk.customer"], answered = "trunk.customer" }
}
test "carriers are no way round" {
  call   = { trunk = "green", caller = "+12125550100", to = "+33140000000" }
  expect = { route = "", status = 403 }
}
