"""The field: all contenders, by name, in the order of the tables."""

from .contenders import (Fastd, JormAes, JormChacha, JormOtp, JormPqOtp, Limit, LimitAes, LimitChacha, OpenVpnAes,
                         OpenVpnChacha, Raw, WireguardGo)
from .older import OldOtp, OldSnek, OtpTunnel, SnekVpn

CONTENDERS = {c.name: c for c in (Raw, Limit, LimitAes, LimitChacha, JormAes, JormChacha, JormOtp, JormPqOtp, WireguardGo,
                                  OpenVpnAes, OpenVpnChacha, Fastd, SnekVpn, OldSnek, OtpTunnel, OldOtp)}
