package dialplan

// worldPrefixes is which country an E.164 number belongs to, by its first digits; the longest prefix decides. Countries
// are ISO 3166 codes. "001" (the world of UN M.49) stands for the networks without a country: satellite, international
// premium and freephone numbers. Jersey, Guernsey and the Isle of Man are not GB here: they share its numbers and not
// its prices. Source: ITU-T E.164 list of assigned country codes; NANPA for the area codes of +1.
const worldPrefixes = `
	AC:247 AD:376 AE:971 AF:93 AL:355 AM:374 AO:244 AR:54 AT:43 AU:61 AW:297 AZ:994 BA:387 BD:880 BE:32 BF:226 BG:359
	BH:973 BI:257 BJ:229 BN:673 BO:591 BQ:599 BR:55 BT:975 BW:267 BY:375 BZ:501 CD:243 CF:236 CG:242 CH:41 CI:225
	CK:682 CL:56 CM:237 CN:86 CO:57 CR:506 CU:53 CV:238 CW:5999 CY:357 CZ:420 DE:49 DJ:253 DK:45 DZ:213 EC:593 EE:372
	EG:20 ER:291 ES:34 ET:251 FI:358 FJ:679 FK:500 FM:691 FO:298 FR:33 GA:241 GB:44 GE:995 GF:594 GH:233 GI:350 GL:299
	GM:220 GN:224 GP:590 GQ:240 GR:30 GT:502 GW:245 GY:592 HK:852 HN:504 HR:385 HT:509 HU:36 ID:62 IE:353 IL:972 IN:91
	IO:246 IQ:964 IR:98 IS:354 IT:39 JO:962 JP:81 KE:254 KG:996 KH:855 KI:686 KM:269 KP:850 KR:82 KW:965 LA:856 LB:961
	LI:423 LK:94 LR:231 LS:266 LT:370 LU:352 LV:371 LY:218 MA:212 MC:377 MD:373 ME:382 MG:261 MH:692 MK:389 ML:223
	MM:95 MN:976 MO:853 MQ:596 MR:222 MT:356 MU:230 MV:960 MW:265 MX:52 MY:60 MZ:258 NA:264 NC:687 NE:227 NF:672
	NG:234 NI:505 NL:31 NO:47 NP:977 NR:674 NU:683 NZ:64 OM:968 PA:507 PE:51 PF:689 PG:675 PH:63 PK:92 PL:48 PM:508
	PS:970 PT:351 PW:680 PY:595 QA:974 RE:262 RO:40 RS:381 RU:7 RW:250 SA:966 SB:677 SC:248 SD:249 SE:46 SG:65 SH:290
	SI:386 SK:421 SL:232 SM:378 SN:221 SO:252 SR:597 SS:211 ST:239 SV:503 SY:963 SZ:268 TD:235 TG:228 TH:66 TJ:992
	TK:690 TL:670 TM:993 TN:216 TO:676 TR:90 TV:688 TW:886 TZ:255 UA:380 UG:256 US:1 UY:598 UZ:998 VA:379 VE:58 VN:84
	VU:678 WF:681 WS:685 XK:383 YE:967 ZA:27 ZM:260 ZW:263
	AG:1268 AI:1264 AS:1684 BB:1246 BM:1441 BS:1242 DM:1767 DO:1809,1829,1849 GD:1473 GU:1671 JM:1876,1658 KN:1869
	KY:1345 LC:1758 MP:1670 MS:1664 PR:1787,1939 SX:1721 TC:1649 TT:1868 VC:1784 VG:1284 VI:1340
	CA:1204,1226,1236,1249,1250,1257,1263,1289,1306,1343,1354,1365,1367,1368,1382,1403,1416,1418
	CA:1428,1431,1437,1438,1450,1460,1468,1474,1506,1514,1519,1548,1568,1579,1581,1584,1587,1600
	CA:1604,1613,1622,1639,1647,1672,1683,1705,1709,1742,1753,1778,1780,1782,1807,1819,1825,1867
	CA:1873,1879,1902,1905,1942
	GG:441481,447781,447839,447911 JE:441534,447509,4477003,4477004,4477005,4477006,4477007,4477008,447797,447829,447937 IM:441624,447524,447624,447924
	KZ:76,77 VA:3906698 AX:35818 SJ:4779 YT:262269,262639 001:800,808,870,878,881,882,883,888,979
`

// dialling is how people of a country dial: the prefix for abroad, the prefix for other parts of the country (empty:
// numbers are always dialled whole), and the shortest and longest national number without prefix. Where whole is set, a
// number of that length needs no prefix. Source: ITU-T Operational Bulletin, national numbering plans.
type dialling struct {
	international, national string
	least, most             int
	whole                   bool
}

var diallings = map[string]dialling{
	"AE": {"00", "0", 8, 9, false},
	"AR": {"00", "0", 10, 11, false},
	"AT": {"00", "0", 4, 13, false},
	"AU": {"0011", "0", 9, 9, false},
	"BE": {"00", "0", 8, 9, false},
	"BG": {"00", "0", 7, 9, false},
	"BR": {"00", "0", 10, 11, false},
	"CA": {"011", "1", 10, 10, true},
	"CH": {"00", "0", 9, 9, false},
	"CL": {"00", "", 9, 9, true},
	"CN": {"00", "0", 9, 11, false},
	"CO": {"00", "0", 10, 10, false},
	"CR": {"00", "", 8, 8, true},
	"CY": {"00", "", 8, 8, true},
	"CZ": {"00", "", 9, 9, true},
	"DE": {"00", "0", 5, 13, false},
	"DK": {"00", "", 8, 8, true},
	"DZ": {"00", "0", 8, 9, false},
	"EE": {"00", "", 7, 8, true},
	"EG": {"00", "0", 8, 10, false},
	"ES": {"00", "", 9, 9, true},
	"FI": {"00", "0", 5, 12, false},
	"FR": {"00", "0", 9, 9, false},
	"GB": {"00", "0", 9, 10, false},
	"GE": {"00", "0", 9, 9, false},
	"GH": {"00", "0", 9, 9, false},
	"GR": {"00", "", 10, 10, true},
	"HK": {"001", "", 8, 8, true},
	"HR": {"00", "0", 8, 9, false},
	"HU": {"00", "06", 8, 9, false},
	"ID": {"001", "0", 8, 12, false},
	"IE": {"00", "0", 7, 9, false},
	"IL": {"00", "0", 8, 9, false},
	"IN": {"00", "0", 10, 10, false},
	"IS": {"00", "", 7, 9, true},
	"IT": {"00", "", 6, 11, true},
	"JM": {"011", "1", 10, 10, true},
	"JP": {"010", "0", 9, 10, false},
	"KE": {"000", "0", 9, 9, false},
	"KR": {"00", "0", 8, 10, false},
	"LI": {"00", "", 7, 9, true},
	"LT": {"00", "0", 8, 8, false},
	"LU": {"00", "", 6, 11, true},
	"LV": {"00", "", 8, 8, true},
	"MA": {"00", "0", 9, 9, false},
	"MC": {"00", "", 8, 9, true},
	"MT": {"00", "", 8, 8, true},
	"MX": {"00", "", 10, 10, true},
	"MY": {"00", "0", 8, 10, false},
	"NG": {"009", "0", 8, 10, false},
	"NL": {"00", "0", 9, 9, false},
	"NO": {"00", "", 8, 8, true},
	"NZ": {"00", "0", 8, 10, false},
	"PE": {"00", "0", 8, 9, false},
	"PH": {"00", "0", 8, 10, false},
	"PK": {"00", "0", 9, 10, false},
	"PL": {"00", "", 9, 9, true},
	"PR": {"011", "1", 10, 10, true},
	"PT": {"00", "", 9, 9, true},
	"QA": {"00", "", 8, 8, true},
	"RO": {"00", "0", 9, 9, false},
	"RS": {"00", "0", 8, 9, false},
	"RU": {"810", "8", 10, 10, false},
	"SA": {"00", "0", 8, 9, false},
	"SE": {"00", "0", 7, 9, false},
	"SG": {"000", "", 8, 8, true},
	"SI": {"00", "0", 8, 8, false},
	"SK": {"00", "0", 9, 9, false},
	"SN": {"00", "", 9, 9, true},
	"TH": {"001", "0", 8, 9, false},
	"TN": {"00", "", 8, 8, true},
	"TR": {"00", "0", 10, 10, false},
	"TW": {"002", "0", 8, 9, false},
	"UA": {"00", "0", 9, 9, false},
	"UG": {"000", "0", 9, 9, false},
	"US": {"011", "1", 10, 10, true},
	"UY": {"00", "0", 8, 8, false},
	"VN": {"00", "0", 9, 10, false},
	"ZA": {"00", "0", 9, 9, false},
}
