package zone

import (
	"github.com/miekg/dns"

	"tacit/internal/wire"
)

func (d *dialogue) update(zone wire.Name) { d.refuse(dns.RcodeRefused) }
