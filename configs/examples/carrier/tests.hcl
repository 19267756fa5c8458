test "Paris" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+33140000000" }
  expect = { route = "rates/+33...", tried = ["trunk.blue"], answered = "trunk.blue", caller_id = "+442079460018" }
}
test "a French mobile has another price" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+33612345678" }
  expect = { route = "rates/+336...", tried = ["trunk.green"] }
}
test "Italy has no line of its own in the table: the block's" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+390612345678" }
  outcome = { "trunk.blue" = 480 }
  expect  = { route = "rates/+39...", tried = ["trunk.blue", "trunk.green"] }
}
test "blue is down" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+33140000000" }
  outcome = { "trunk.blue" = "timeout" }
  expect  = { tried = ["trunk.blue", "trunk.green"], answered = "trunk.green" }
}
test "busy is busy" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+33140000000" }
  outcome = { "trunk.blue" = "busy" }
  expect  = { tried = ["trunk.blue"], status = 486 }
}
test "both are down" {
  call    = { trunk = "customer", caller = "+442079460018", to = "+12125550100" }
  outcome = { "trunk.blue" = 503, "trunk.green" = 500 }
  expect  = { tried = ["trunk.green", "trunk.blue"], status = 480 }
}
test "personal numbers are refused" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+447012345678" }
  expect = { route = "rates/+4470...", status = 403 }
}
test "a country without a price" {
  call   = { trunk = "customer", caller = "+442079460018", to = "+4930123456" }
  expect = { route = "elsewhere", status = 404 }
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
