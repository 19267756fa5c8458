# What a number means. The more specific pattern wins; files and their order do not matter.

numbering {
  country  = "GB" # 020 7946 0018 is +442079460018, 00… is abroad
  timezone = "Europe/London"
}

schedule "office" {
  timezone = "Europe/London"
  open     = ["mon-thu 09:00-17:30", "fri 09:00-16:00"]
  closed   = ["12-25", "12-26", "01-01", "2026-08-31"]
}

route "colleague" {
  from = [class.staff]
  to   = "1xxx"
  dial {
    extension = call.to
    timeout   = "25s"
  }
  on "busy" {
    play {
      file   = "sounds/busy.wav"
      answer = false
    }
    reject { status = 486 }
  }
  on "unreachable" "no_answer" { # nobody there: somebody else may know
    ring { group = ring_group.everybody }
  }
}

route "own-number" { # the public numbers of our own phones, without a way round outside
  to = "+4420794600[12]x"
  dial { extension = call.to }
}

route "lobby" { # the phone in the lobby reaches the reception and nobody else
  from = [class.lobby]
  to   = "1001"
  dial { extension = extension["1001"] }
}

route "sales-open" {
  to   = "600"
  when = schedule.office.is_open
  ring { group = ring_group.sales }
  on "no_answer" "busy" "unreachable" {
    ring { group = ring_group.everybody }
  }
}
route "sales-closed" { # the same number without a condition: the else
  to = "600"
  play { file = "sounds/closed.wav" }
}

route "echo" {
  to = "*43"
  echo {}
}
route "milliwatt" {
  to = "*44"
  tone { hz = 1004 }
}

route "outside" { # there is no carrier here: say so at once
  from = [class.staff]
  to   = "+..."
  reject {
    status = 503
    reason = "No line to the outside"
  }
}
