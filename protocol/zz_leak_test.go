package protocol_test
import ("testing";"strings";"time";"fmt"
"broadsheet.dev/broadsheet/protocol")
func TestLeak(t *testing.T){
 for _, text := range []string{
  `{{ $x := "11" }}`+strings.Repeat(`{{ $x = $.Spool.FirstAppendTime.UTC.Format $x }}`,20)+`{{ len $x }}`,
  `{{ $x := "11" }}`+strings.Repeat(`{{ $x = $.Spool.PostfixSpool.FirstAppendTime.Format $x }}`,20)+`{{ len $x }}`,
  `{{ $m := (.LabelSet.ProtoReflect.Mutable (.LabelSet.ProtoReflect.Descriptor.Fields.Get 0)).List.AppendMutable }}x`,
 }{
 spec := &protocol.JournalSpec{Name: "acme/journal", Labels: protocol.MustLabelSet("aa","1"), Fragment: &protocol.JournalSpec_Fragment{PathPostfixTemplate: text}}
 s, err := spec.PathPostfix(protocol.PostfixSpool{FirstAppendTime: time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)})
 fmt.Println(s, err, len(spec.Labels.Labels))
 }
}
