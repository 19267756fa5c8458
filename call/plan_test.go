package call

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"tandem/dialplan"
	"tandem/dialplan/block"
)

// officePlan has extensions 1001 to 1006; 1004 has no class, and so no limit.
const officePlan = `
class "office" { max_calls = 2 }
extension "1001" {
  name  = "Alice"
  class = class.office
}
extension "1002" {
  name  = "Bob"
  class = class.office
}
extension "1003" { class = class.office }
extension "1004" {}
extension "1005" {}
extension "1006" {}
ring_group "sales" {
  strategy = "all"
  members  = [extension["1002"], extension["1003"]]
}
ring_group "line" {
  strategy = "in_order"
  members  = [extension["1002"], extension["1003"], extension["1004"]]
  timeout  = "40s"
  each     = "10s"
}
route "internal" {
  to = "1xxx"
  dial {
    extension = call.to
    timeout   = "20s"
  }
}
route "sales" {
  to = "200"
  ring { group = ring_group.sales }
}
route "line" {
  to = "201"
  ring { group = ring_group.line }
}
route "guarded" {
  to = "300"
  dial {
    extension = extension["1002"]
    timeout   = "20s"
  }
  on "busy" {
    play { file = "busy.wav" }
  }
  on "no_answer" {
    dial {
      extension = extension["1003"]
      timeout   = "10s"
    }
  }
  on "unreachable" {
    reject { status = 404 }
  }
  on "declined" {
    dial {
      extension = extension["1003"]
      timeout   = "10s"
    }
    on "busy" {
      reject { status = 404 }
    }
    on "unreachable" {
      play {
        file   = "busy.wav"
        answer = false
      }
    }
  }
}
route "notice" {
  to = "301"
  play { file = "welcome.wav" }
  dial {
    extension = extension["1002"]
    timeout   = "20s"
  }
}
route "echo" {
  to = "400"
  echo {}
}
route "tone" {
  to = "401"
  tone { hz = 1004 }
}
route "no" {
  to = "402"
  reject { status = 603 }
}
route "elsewhere" {
  to = "403"
  redirect { to = "1005" }
}
`

// planOf compiles one HCL text.
func planOf(t testing.TB, text string) *dialplan.Plan {
	t.Helper()
	file, d := hclsyntax.ParseConfig([]byte(text), "office.hcl", hcl.InitialPos)
	if d.HasErrors() {
		t.Fatal(d)
	}
	dialplan.Prepare(file.Body)
	schema := append(dialplan.Schema(), hcl.BlockHeaderSchema{Type: "extension", LabelNames: []string{"number"}})
	content, d := file.Body.Content(&hcl.BodySchema{Blocks: schema})
	if d.HasErrors() {
		t.Fatal(d)
	}
	src := dialplan.Source{
		Files:   map[string][]byte{"office.hcl": file.Bytes},
		Resolve: func(path string) (string, error) { return "/sounds/" + path, nil },
	}
	for _, b := range content.Blocks {
		if b.Type != "extension" {
			src.Blocks = append(src.Blocks, b)
			continue
		}
		r := block.Open(b.Body, block.Schema("name class srtp webrtc did", "forward"), nil, &d)
		x := dialplan.Declared{At: b.LabelRanges[0]}
		x.Number, x.Name, x.SRTP = b.Labels[0], r.Text("name", ""), r.Text("srtp", "optional")
		x.DID, x.WebRTC = r.Text("did", ""), r.Text("webrtc", "auto")
		for _, inner := range r.Blocks {
			x.Features.Forward = dialplan.ReadForward(block.Open(inner.Body, dialplan.ForwardSchema, nil, &d))
		}
		if e := r.Expr("class"); e != nil {
			if ref, ok := r.Ref(e, "class"); ok {
				x.Class, x.ClassAt = ref.Name, ref.NameAt
			}
		}
		src.Extensions = append(src.Extensions, x)
	}
	plan, more := dialplan.Compile(src)
	if d = append(d, more...); d.HasErrors() {
		t.Fatal(d.Error(), d.Errs())
	}
	return plan
}
