package broker

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc"
)

// Neighbour is what else of the process is served at the broker's ports. It lets in by itself who may use it: the broker looks at no
// tokens of its requests.
type Neighbour struct {
	// Register adds its services to the gRPC server.
	Register func(grpc.ServiceRegistrar)
	// Handler serves HTTP of the paths that begin with Prefix: journals of such names are reached over gRPC only. The broker waits for
	// it when it stops.
	Handler http.Handler
	Prefix  string
}

// Validate tells what is missing.
func (n *Neighbour) Validate() error {
	switch {
	case n == nil:
		return nil
	case n.Register == nil || n.Handler == nil:
		return errors.New("neighbour: Register or Handler is missing")
	case len(n.Prefix) < 3 || n.Prefix[0] != '/' || !strings.HasSuffix(n.Prefix, "/"):
		return fmt.Errorf("neighbour: Prefix %q isn't a path of a folder", n.Prefix)
	}
	return nil
}

// serves tells whether a path is the neighbour's.
func (n *Neighbour) serves(path string) bool { return n != nil && strings.HasPrefix(path, n.Prefix) }

// register the neighbour's services, whose requests the door leaves to them.
func (n *Neighbour) register(s grpc.ServiceRegistrar, d *door) {
	if n != nil {
		n.Register(&noting{s, d})
	}
}

// noting registers services, and has the door note their names.
type noting struct {
	grpc.ServiceRegistrar

	door *door
}

// RegisterService as of grpc.ServiceRegistrar.
func (n *noting) RegisterService(desc *grpc.ServiceDesc, impl any) {
	n.door.others = append(n.door.others, "/"+desc.ServiceName+"/")
	n.ServiceRegistrar.RegisterService(desc, impl)
}

// isOther tells whether a method is a neighbour's.
func (d *door) isOther(method string) bool {
	for _, prefix := range d.others {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}
