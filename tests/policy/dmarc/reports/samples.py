"""Results of a day, and a report as older software writes it."""

from __future__ import annotations

from pymailsuite.interfaces.dmarc import DomainDay, ReportedPolicy, ReportedRow

DAY = 20_000
NOON_OF_THE_NEXT_S = (DAY + 1) * 86_400 + 43_200.0

RUA = (("agg@example.com", None), ("in@reports.test", 10_000), ("never@stranger.test", None))
POLICY = ReportedPolicy("example.com", "reject", sp="none", adkim="s", fo="1:d", testing=True, rua=RUA)
PASSED = ReportedRow(
    "192.0.2.1",
    "none",
    "pass",
    "fail",
    "example.com",
    "bounce.test",
    overrides=(("sampled_out", "pct=50"), ("local_policy", "arc=pass <as[1]> & more")),
    auth_dkim=(("example.com", "s1", "pass"), ("other.test", "s2", "fail")),
    auth_spf=(("bounce.test", "mfrom", "pass"),),
)
FORGED = ReportedRow("2001:db8::9", "reject", "fail", "fail", "sub.example.com", auth_spf=(("h.test", "helo", "none"),))
RESULTS = DomainDay(DAY, POLICY, ((PASSED, 12), (FORGED, 3)))

OLDER = b"""<?xml version="1.0"?>
<feedback><report_metadata><org_name>Big &amp; Co</org_name><email>noreply@big.test</email>
<extra_contact_info>https://big.test/</extra_contact_info><report_id>42</report_id>
<date_range><begin>1728000000</begin><end>1728086399</end></date_range></report_metadata>
<policy_published><domain>example.com</domain><adkim>r</adkim><aspf>s</aspf><p>quarantine</p><sp>none</sp><pct>50</pct>
</policy_published>
<record><row><source_ip>192.0.2.7</source_ip><count>5</count><policy_evaluated><disposition>none</disposition>
<dkim>pass</dkim><spf>fail</spf><reason><type>forwarded</type><comment/></reason></policy_evaluated></row>
<identifiers><header_from>example.com</header_from></identifiers>
<auth_results><dkim><domain>example.com</domain><result>pass</result></dkim>
<spf><domain>fwd.test</domain><result>softfail</result></spf></auth_results></record>
<record><row><source_ip>192.0.2.8</source_ip><count>2</count></row></record>
</feedback>
"""
