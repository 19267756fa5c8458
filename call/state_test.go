package call

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"tandem/dialplan"
	"tandem/record"
)

// fillIn gives every field that is kept a value of its own, so that one that is lost on the way is missed.
func fillIn(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 1, 1, 0, 0, *n, 1000, time.UTC)
		return
	case *netip.Addr:
		*x = netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})
		return
	case *netip.AddrPort:
		*x = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)}), uint16(*n))
		return
	case *dialplan.State: // what people set at their phones is not of the call
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fillIn(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillIn(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fillIn(v.Index(i), n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fillIn(v.Index(i), n)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillIn(key, n)
		fillIn(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(string(rune('a'+*n%26)) + "x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(*n) / 4)
	default:
		if v.CanInt() {
			v.SetInt(int64(*n % 100))
		} else {
			v.SetUint(uint64(*n % 100))
		}
	}
}

// Everything that a State holds comes back, as this version writes it and as the one before did.
func TestStateIsKeptWhole(t *testing.T) {
	var want State
	n := 0
	fillIn(reflect.ValueOf(&want).Elem(), &n)
	want.Version = stateVersion
	for name, write := range map[string]func(any) ([]byte, error){"this version": record.Marshal, "the version before": json.Marshal} {
		raw, err := write(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := stateOf(raw)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(*got, want) {
			a, _ := json.MarshalIndent(got, "", " ")
			b, _ := json.MarshalIndent(want, "", " ")
			t.Errorf("%s: read\n%s\nwritten\n%s", name, a, b)
		}
	}
}
