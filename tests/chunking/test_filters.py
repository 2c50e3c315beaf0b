"""Prose in any language passes, and what is no prose is refused with the reason for it.

The passages that must be refused stand in two halves: the rules were made with the first in view,
and the second only measured at first: 0.87 of it was right, and 0.83 of what was added later.
"""

import pickle

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bonito_assets.chunking.filters import judge
from bonito_assets.tables import REJECTIONS

PARAGRAPH = ("paragraph",)

REFUSED = {
    "made_with": {
        "too_short": [
            "Yes.", "x", "Introduction", "Chapter 4", "Contact us", "3.", "See below.",
            "Table 2", "Summary of Results", "IV. Financial Statements",
            "CONFIDENTIALITY AGREEMENT", "小さい", "目次", "المقدمة", "Введение", "Thank you!",
        ],
        "boilerplate": [
            "Contents\n1. Definitions ........ 3\n2. Term ............... 5\n3. Payment "
            "............ 9",
            "1 Introduction 1\n1.1 Scope 2\n1.2 Terms and definitions 4\n2 Requirements 7\n2.1 "
            "General 7\n2.2 Materials 9",
            "Chapter One . . . . . . 1\nChapter Two . . . . . . 17\nChapter Three . . . . . 42",
            "Inhalt\nVorwort\t5\nErster Teil\t11\nZweiter Teil\t87\nNachwort\t203",
            "Home | About us | Products | Contact", "Home > Garden > Tools > Spades",
            "Startseite » Produkte » Werkzeuge » Zangen",
            "Home\nAbout\nServices\nBlog\nContact\nLog in",
            "- [Home](/)\n- [Install](/install)\n- [API](/api)\n- [FAQ](/faq)",
            "https://a.example/one\nhttps://a.example/two\nhttps://a.example/three",
            "We use cookies to give you the best experience. Accept all | Reject all | Cookie "
            "settings",
            "© 2021 Example GmbH. All rights reserved.",
            "Copyright (c) 2015-2020 The Example Authors\nAll rights reserved.",
            "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not use "
            "this file except in compliance with the License. You may obtain a copy of the "
            "License at\n\n    http://www.apache.org/licenses/LICENSE-2.0\n\nUnless required by "
            "applicable law or agreed to in writing, software distributed under the License is "
            "distributed on an \"AS IS\" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, "
            "either express or implied.",
            "SPDX-License-Identifier: MIT\nCopyright 2019 Some One",
            "Permission is hereby granted, free of charge, to any person obtaining a copy of "
            "this software and associated documentation files, to deal in the Software without "
            "restriction.",
            "aardvark, 12, 45-47\nadder, 19\nalbatross, 101, 203-204\nant, see insects\napes, 77",
            "This e-mail and any attachments are confidential. If you are not the intended "
            "recipient, please notify the sender and delete this message.",
            "[1] A. Turing, On computable numbers, Proc. LMS 42 (1936), pp. 230-265.\n[2] C. E. "
            "Shannon, A mathematical theory of communication, Bell Syst. Tech. J. 27 (1948), "
            "379-423.\n[3] J. von Neumann, First draft of a report on the EDVAC (1945), pp. "
            "1-43.",
            "Previous | Next | Up | Table of contents",
        ],
        "not_natural_language": [
            "def area(radius):\n    if radius < 0:\n        raise ValueError(radius)\n    return "
            "3.14159 * radius ** 2\n\nprint(area(2))",
            "#include <stdio.h>\nint main(void) {\n  for (int i = 0; i < 10; i++) {\n    "
            "printf(\"%d\\n\", i);\n  }\n  return 0;\n}",
            "const total = items.filter(x => x.price > 10).map(x => x.price * 1.2).reduce((a, b) "
            "=> a + b, 0);\nconsole.log(total);",
            "SELECT o.id, SUM(l.qty * l.price) AS total FROM orders o JOIN lines l ON l.order_id "
            "= o.id WHERE o.state = 'paid' GROUP BY o.id HAVING total > 100;",
            "<div class=\"row\"><a href=\"/x\"><img src=\"a.png\"/></a></div>\n<ul><li "
            "id=\"b\"></li></ul>",
            "body { margin: 0; padding: 0; }\n.nav > li { float: left; color: #fff; }",
            "{\"id\": 17, \"tags\": [\"a\", \"b\"], \"pos\": {\"x\": 1.5, \"y\": -2}, \"ok\": "
            "true}",
            "name: build\non: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n   "
            "   - uses: actions/checkout@v4",
            "$ sudo apt-get install -y build-essential\n$ ./configure --prefix=/usr/local\n$ "
            "make -j4",
            "fn main() {\n    let v: Vec<i32> = (1..=5).collect();\n    println!(\"{:?}\", v);\n}",
            "2021-03-04 10:22:31,123 INFO  [main] o.e.Server: started @1203ms\n2021-03-04 "
            "10:22:32,001 WARN  [pool-1] o.e.Db: retry 1/3\n2021-03-04 10:22:35,777 ERROR "
            "[pool-1] o.e.Db: timeout after 3000ms",
            "84.17.52.9 - - [10/Oct/2020:13:55:36 +0000] \"GET /a.html HTTP/1.1\" 200 2326\n"
            "84.17.52.9 - - [10/Oct/2020:13:55:37 +0000] \"GET /b.css HTTP/1.1\" 304 0",
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    f(1)\n"
            "  File \"a.py\", line 2, in f\n    return x[0]\nTypeError: 'int' object",
            "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCBieSB0aGlz\n"
            "IHNpbmd1bGFyIHBhc3Npb24gZnJvbSBvdGhlciBhbmltYWxzLCB3aGljaCBpcyBhIGx1c3Qgb2Yg",
            "4f 6e 65 20 6d 6f 72 65 20 74 69 6d 65 2c 20 70 6c 65 61 73 65 2e 0a 00 ff d8 ff e0",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "12.5 33.1 0.07 118\n14.2 30.9 0.11 97\n11.8 35.0 0.05 121\n13.3 31.2 0.09 104",
            "id,name,qty,price\n1,bolt,40,0.25\n2,nut,38,0.11\n3,washer,120,0.04\n4,screw,77,0.19",
            "Region | 2019 | 2020 | 2021\nNorth | 12.4 | 13.1 | 15.0\nSouth | 9.7 | 9.9 | 10.2\n"
            "East | 4.4 | 4.1 | 3.8",
            "user_id session_token created_at is_active last_login_ip num_orders avg_basket_value",
            "XK-4412-B XK-4413-B XK-4510-C QT-9911-A QT-9912-A ZZ-0001-X ZZ-0002-X AB-7781-D",
            "xkcd qwrt zxcv bnmk plkj hgfd wqsx cdvf bgrt nhjm",
            "sdkfj weoiru xcvmn qpwoe lskdjf zmxnb qowieu rtyfgh vbnxz plokm ijnuhb ygvtfc",
            "Ã©tÃ© Ã  la plage, câ€™est dÃ©jÃ  trÃ¨s tÃ´t prÃ©vu pour lâ€™annÃ©e",
            "Th\ufffd qu\ufffd\ufffdk br\ufffdwn f\ufffdx j\ufffdmps ov\ufffdr th\ufffd "
            "l\ufffdzy d\ufffdg",
            "\x01\x02PK\x03\x04\x14\x00\x08\x08 mimetype\x00\x00 application\x05\x06\x00 "
            "zip\x00\x01\x02 stored\x07\x00 META-INF/\x00\x01",
            "a" * 3000, "loremipsumdolorsitamet" * 60, "-" * 200, "ha " * 200, "0 1 " * 80,
            "!!! ??? ... --- *** ### @@@ &&& %%% $$$ ^^^ ~~~ +++ === <<< >>>",
            "/usr/bin/python3 /usr/lib/x86_64-linux-gnu/libc.so.6 /etc/ld.so.cache "
            "/proc/self/maps",
            "$$\\int_0^1 \\frac{x^{n-1}}{1+x} dx = \\sum_{k=0}^\\infty \\frac{(-1)^k}{n+k}$$",
            "1200 1340 1520\n1180 1360 1490\n1250 1310 1555",
            "sensor_1;21.4;44\nsensor_2;20.9;47\nsensor_3;22.0;41\nsensor_4;21.1;45",
            "%PDF-1.4 1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj 2 0 obj << /Kids [3 0 R] "
            ">>",
            "192.168.0.1 00:1a:2b:3c:4d:5e up\n192.168.0.2 00:1a:2b:3c:4d:5f down\n192.168.0.3 "
            "00:1a:2b:3c:4d:60 up",
        ],
    },
    "held_out": {
        "too_short": [
            "No!", "7", "Appendix B", "References", "Figure 3.2", "Go home.",
            "Methods and Materials", "ARTICLE IX", "第一章", "はい。", "شكرا", "Глава 2", "§ 12",
            "TERMS AND CONDITIONS", "Über uns", "एक",
        ],
        "boilerplate": [
            "TABLE OF CONTENTS\nARTICLE I DEFINITIONS.....................1\nARTICLE II THE "
            "MERGER...................12\nARTICLE III REPRESENTATIONS..............19",
            "Foreword v\nAcknowledgements vii\n1 Birds of the marsh 1\n2 Birds of the shore 31\n"
            "3 Birds of the wood 77\n4 Birds of the town 120",
            "Section 1. Purpose . . . . 1 Section 2. Scope . . . . 2 Section 3. Fees . . . . 4 "
            "Section 4. Law . . . . 6",
            "目录\n第一章 总则………………1\n第二章 定义………………4\n第三章 附则………………9",
            "Sommaire\nAvant-propos …… 7\nPremière partie …… 15\nDeuxième partie …… 98",
            "News · Sport · Weather · Shop · Sign in", "You are here: Home / Help / Billing",
            "Docs › Reference › Operators › Join",
            "Menu\nSearch\nCart\nMy account\nHelp\nSign out",
            "* [Why](#why)\n* [How](#how)\n* [When](#when)\n* [Who](#who)",
            "Privacy Policy | Terms of Service | Sitemap | Careers",
            "This site uses cookies. By continuing to browse you accept our use of cookies. "
            "Accept cookies  Manage preferences",
            "Copyright 1998 by the Society. No part of this publication may be reproduced, "
            "stored in a retrieval system or transmitted in any form without prior permission.",
            "(C) 2003 Alle Rechte vorbehalten.",
            "Redistribution and use in source and binary forms, with or without modification, "
            "are permitted provided that the following conditions are met:",
            "This program is free software: you can redistribute it and/or modify it under the "
            "terms of the GNU General Public License as published by the Free Software "
            "Foundation.",
            "# SPDX-FileCopyrightText: 2022 Someone\n# SPDX-License-Identifier: BSD-3-Clause",
            "This work is licensed under a Creative Commons Attribution 4.0 International "
            "License.",
            "Preface ........ ix\nPart One ........ 1\nPart Two ........ 88\nIndex ........ 240",
            "Start > Hilfe > Konto > Passwort",
            "Home · Archive · About · Contact · RSS feed · Search",
            "bee, 4, 17\nbeetle, 22\nbutterfly, 30-36, 41\ncricket, 52\ndragonfly, 61",
            "Copyright © 2022 Example Press. All rights reserved. Printed in Norway.",
            "1. https://example.org/a\n2. https://example.org/b\n3. https://example.org/c",
            "THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED.",
            "Wir verwenden Cookies. Alle akzeptieren | Nur notwendige | Cookie settings",
            "oak, 14\nolive, 88, 91–93\norange, 61\nosier, 7\npalm, 33, 34, 120–131",
            "The information contained in this message may be privileged and confidential. If "
            "you are not the intended recipient, any dissemination is prohibited.",
            "Knuth, D. E. (1973). The Art of Computer Programming, vol. 3. Addison-Wesley.\n"
            "Hoare, C. A. R. (1962). Quicksort. Computer Journal 5(1), 10–16.\nDijkstra, E. W. "
            "(1959). A note on two problems. Numer. Math. 1, 269–271.",
            "Skip to main content\nSubscribe to our newsletter\nFollow us on Twitter\nBack to top",
        ],
        "not_natural_language": [
            "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def "
            "push(self, x):\n        self.items.append(x)",
            "public static void main(String[] args) {\n    List<String> a = new ArrayList<>();\n "
            "   a.add(\"x\");\n    System.out.println(a.size());\n}",
            "func Max(a, b int) int {\n\tif a > b {\n\t\treturn a\n\t}\n\treturn b\n}",
            "import numpy as np\nfrom os import path\nx = np.zeros((3, 4))\ny = x.T @ x + 1e-9",
            "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, age INT);",
            "<?xml version=\"1.0\"?><root><item id=\"1\"><name>a</name></item><item "
            "id=\"2\"/></root>",
            "[{\"a\":1,\"b\":[2,3]},{\"a\":4,\"b\":[]},{\"a\":null,\"b\":[5]}]",
            "[server]\nport = 8080\nhost = 0.0.0.0\ndebug = false\nworkers = 4",
            "for f in *.txt; do mv \"$f\" \"${f%.txt}.md\"; done",
            "(define (fact n) (if (= n 0) 1 (* n (fact (- n 1)))))",
            "x <- c(1, 2, 3)\nmodel <- lm(y ~ x, data = df)\nsummary(model)$coefficients",
            "diff --git a/x.py b/x.py\n@@ -1,3 +1,4 @@\n-import os\n+import sys\n+import re\n "
            "def f():",
            "Oct 11 22:14:15 web1 sshd[411]: Failed password for root from 10.0.0.7 port 22 ssh2\n"
            "Oct 11 22:14:18 web1 sshd[411]: Connection closed by 10.0.0.7 [preauth]",
            "[12:01:07.552] DEBUG net: rx=1500 tx=640 err=0\n[12:01:08.553] DEBUG net: rx=1501 "
            "tx=641",
            "goroutine 1 [running]:\nmain.main()\n\t/tmp/a.go:7 +0x1d\nexit status 2",
            "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljN"
            "BAAO9TXL0Y4OHwAAAABJRU5ErkJggg==",
            "0000000 7f45 4c46 0201 0100 0000 0000 0000 0000\n0000020 0300 3e00 0100 0000 a062 "
            "0000",
            "d41d8cd98f00b204e9800998ecf8427e  empty.txt\n5d41402abc4b2a76b9719d911017c592  "
            "hello.txt",
            "1\t2\t3\t4\n5\t6\t7\t8\n9\t10\t11\t12",
            "Q1 112 118 97\nQ2 120 131 99\nQ3 98 104 87",
            "date;open;high;low\n2020-01-02;74.1;75.2;73.8\n2020-01-03;74.3;75.1;74.1",
            "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |",
            "getUserById setUserName fetchAllOrders isValidEmail parseHttpHeader toJsonString",
            "550e8400-e29b-41d4-a716-446655440000 6ba7b810-9dad-11d1-80b4-00c04fd430c8 "
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
            "hjkl fghd wrtp mnbv qzxj vkjr tplk dfgs bvcx rrtq",
            "asdf asdf jkl; asdf jkl; fdsa lkj; asdf",
            "zqoxv ufjiq wvakz xqeju gzyqo vwxib jqutz kxoyv fqhaz ujxwe qvzoi",
            "FuÃŸgÃ¤nger mÃ¼ssen Ã¼ber die StraÃŸe gehen",
            "\ufffd\ufffd \ufffd\ufffd\ufffd r\ufffds\ufffdm\ufffd \ufffd\ufffd of t\ufffde "
            "w\ufffdrk \ufffd\ufffd",
            "z" * 500, "x1y2z3" * 100,
            "================================================================================\n"
            "================================================================================",
            "buy now " * 100, "(╯°□°)╯︵ ┻━┻ ¯\\_(ツ)_/¯ ( ͡° ͜ʖ ͡°) ▄▄▄▄ ████ ▀▀▀▀",
            "try:\n    config = json.load(open(path))\nexcept OSError as e:\n    sys.exit(1)",
            "while (n--) { *dst++ = *src++; }\nif (!ptr) return NULL;\nfree(ptr);",
            "module.exports = { entry: './a.js', output: { path: __dirname, file: 'b.js' } };",
            "RUN apt-get update && apt-get install -y curl\nCOPY . /app\nEXPOSE 80\nCMD [\"./a\"]",
            "e3b0c44298fc1c149afbf4c8996fb924 27ae41e4649b934ca495991b7852b855 0cc175b9c0f1b6a8",
            "3,141,592 2,718,281 1,618,033\n1,414,213 1,732,050 2,236,067\n2,645,751 3,162,277 4,4",
            "Jan 5.1 3.2\nFeb 6.0 2.9\nMar 9.4 1.8\nApr 12.2 0.7\nMay 15.9 0.1",
            "rx_bytes=1204 tx_bytes=877 rx_errs=0 tx_errs=0 drop=3 mtu=1500 qlen=1000",
            "2020/05/06 07:08:09 [error] 31#31: *17 open() failed (2: No such file)\n"
            "2020/05/06 07:08:10 [warn] 31#31: *18 upstream timed out (110: timeout)",
            "^(?:[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[a-z0-9]+)*)@(?:[a-z]+\\.)+[a-z]{2,}$",
            "wxkq zjvb fqpt gkzx vbjm qwzk xjfv kqgz pvxw jzqb mxkv",
            "Ð¡Ð°Ð¼Ð¾Ð»Ñ\x91Ñ\x82 Ð¿Ñ\x80Ð¸Ð·ÐµÐ¼Ð»Ð¸Ð»Ñ\x81Ñ\x8f Ð²Ð°Ñ\x8dÑ",
            "A1 B2 C3 D4 E5 F6 G7 H8 I9 J10 K11 L12 M13 N14 O15 P16 Q17 R18 S19 T20",
            "SKU-0001;SKU-0002;SKU-0003;SKU-0004;SKU-0005;SKU-0006;SKU-0007;SKU-0008;SKU-0009",
            "hahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahahaha",
            "E = mc^2; F = ma; a^2 + b^2 = c^2; dU = T dS - p dV; pV = nRT",
            "org.apache.commons.lang3.StringUtils com.google.common.collect.ImmutableList "
            "java.util.concurrent.ConcurrentHashMap",
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("half", ["made_with", "held_out"])
def test_nearly_all_of_what_is_no_prose_is_refused_with_the_right_reason(half):
    verdicts = [
        (judge(text, PARAGRAPH), code) for code, texts in REFUSED[half].items() for text in texts
    ]
    assert sum(verdict == code for verdict, code in verdicts) >= 0.95 * len(verdicts)


PROSE = {
    "English": "The heron stands in the shallows for hours. When a fish comes near, it strikes.",
    "German": "Der Reiher steht stundenlang im flachen Wasser und wartet, bis ein Fisch "
    "vorbeikommt.",
    "Finnish": "Haikara seisoo tuntikausia matalassa vedessä ja odottaa, kunnes kala tulee "
    "lähelle.",
    "Polish": "Czapla stoi godzinami w płytkiej wodzie i czeka, aż podpłynie do niej jakaś ryba.",
    "Czech": "Volavka stojí celé hodiny v mělké vodě a čeká, až k ní připluje nějaká ryba.",
    "Croatian": "Čaplja satima stoji u plitkoj vodi i čeka da joj riba dođe dovoljno blizu.",
    "Turkish": "Balıkçıl saatlerce sığ suda durur ve bir balığın yanına gelmesini sabırla bekler.",
    "Swahili": "Korongo husimama majini kwa saa nyingi akingoja samaki apite karibu naye.",
    "Vietnamese": "Con diệc đứng hàng giờ trong vùng nước nông và chờ một con cá bơi lại gần.",
    "Russian": "Цапля часами стоит на мелководье и ждёт, пока рыба не подплывёт поближе.",
    "Greek": "Ο ερωδιός στέκεται για ώρες στα ρηχά νερά και περιμένει να πλησιάσει ένα ψάρι.",
    "Arabic": "يقف مالك الحزين ساعات طويلة في المياه الضحلة وينتظر حتى تقترب منه سمكة.",
    "Hebrew": "האנפה עומדת שעות במים הרדודים ומחכה עד שדג יתקרב אליה.",
    "Hindi": "बगुला घंटों उथले पानी में खड़ा रहता है और मछली के पास आने की प्रतीक्षा करता है।",
    "Thai": "นกกระสายืนอยู่ในน้ำตื้นเป็นเวลาหลายชั่วโมงและรอจนกว่าปลาจะเข้ามาใกล้",
    "Chinese": "苍鹭在浅水中一站就是几个小时，等待鱼儿游近，然后迅速出击。",
    "Japanese": "サギは浅瀬に何時間も立ち、魚が近づいてくるのをじっと待っている。",
    "Korean": "왜가리는 얕은 물에 몇 시간이고 서서 물고기가 가까이 오기를 기다린다.",
}
HARD_PROSE = [
    "Of 128 patients (64 women; mean age 54.3±7.1 years), 31% (n=40) relapsed within 12 months "
    "(OR 1.8, 95% CI 1.1-2.9, p=0.02).",
    "(a) the Receiving Party shall keep the Information secret;\n(b) it shall return all copies; "
    "and"
    "\n(c) it shall tell its employees of these duties;",
    "We use cookies to remember your language. If you refuse them, the site works all the same, "
    "but "
    "you will be asked again at every visit.",
    "Kafka was first released in 2011 and is licensed under the Apache License, as are most of the "
    "projects of the foundation.",
    "- wages of the crew,\n- food for forty days,\n- repairs of sail and hull",
    "From 1914 to 1918 the 3rd, 5th and 9th divisions lost 12,400, 9,800 and 7,150 men.",
    "The function `len` gives the length of a list; see [the manual](https://example.com/a/b?c=d) "
    "for the others, and [the guide](../guide/index.html#part-2) for examples.",
    "IN NO EVENT SHALL THE SELLER BE LIABLE FOR ANY LOSS OF PROFIT OF THE BUYER.",
    "By: ______________________ Name: ______________________ of the first party, the Seller, and "
    "by: ______________________ of the second party, the Buyer.",
    '"Who\'s there?" "Me!" "Who is \'me\'?" "Come in and see," said the voice - and laughed.',
    "In 1998 copyright law was changed: works are protected for seventy years after the author's "
    "death, and no longer for fifty.",
    "Donaudampfschifffahrtsgesellschaftskapitän ist ein langes Wort, das niemand im Ernst benutzt.",
    "Strč prst skrz krk je česká věta, ve které není jediná samohláska.",
]


@pytest.mark.parametrize("language", PROSE)
def test_prose_of_every_script_passes(language):
    assert judge(PROSE[language], PARAGRAPH) is None


@pytest.mark.parametrize("text", HARD_PROSE)
def test_prose_with_much_in_it_that_is_none_passes(text):
    assert judge(text, PARAGRAPH) is None


def test_a_sentence_may_be_shorter_than_a_paragraph():
    assert judge("Nobody ever came.", ("sentence",)) is None
    assert judge("Nobody ever came.", ("sentence", "paragraph")) is None
    assert judge("Nobody ever came.", PARAGRAPH) == "too_short"


def test_a_heading_is_too_short_and_a_sentence_of_the_same_words_is_not():
    assert judge("Rights And Duties Of Both Parties", ("sentence",)) == "too_short"
    assert judge("The parties have rights and duties.", ("sentence",)) is None


def test_a_licence_in_a_long_text_about_something_else_does_not_condemn_it():
    notice = "This work is licensed under a Creative Commons Attribution 4.0 licence."
    assert judge(notice, PARAGRAPH) == "boilerplate"
    assert judge(f"{PROSE['English']} " * 8 + HARD_PROSE[0] + notice, PARAGRAPH) is None


def test_a_passage_is_what_most_of_it_is():
    code = REFUSED["made_with"]["not_natural_language"][0]
    sentences = " ".join([PROSE["English"], HARD_PROSE[2], HARD_PROSE[3]])
    assert judge(f"{sentences}\n\n{code}", PARAGRAPH) is None
    assert judge(f"Compare:\n\n{code}\n\n{code}", PARAGRAPH) == "not_natural_language"


def test_a_wrong_language_is_a_reason_only_where_languages_are_wanted():
    german = PROSE["German"]
    assert judge(german, PARAGRAPH, ["en"]) == "wrong_language"
    assert judge(german, PARAGRAPH, ["en", "de"]) is None


def test_personal_data_is_a_reason_only_where_it_is_to_be_refused():
    text = "For the keys of the boat house write to anna@example.com before the evening."
    assert judge(text, PARAGRAPH, pii="reject") == "personal_data"
    assert judge(text, PARAGRAPH, pii="keep") is None
    assert judge(text, PARAGRAPH, pii="mask") is None


@given(st.text(max_size=300), st.sets(st.sampled_from(["paragraph", "sentence"]), min_size=1))
def test_every_text_has_a_verdict_of_the_published_list_and_always_the_same(text, units):
    verdict = judge(text, units)
    assert verdict is None or verdict in REJECTIONS
    assert judge(text, units) == verdict


@given(st.text(max_size=300))
def test_what_serves_as_a_paragraph_serves_as_a_sentence_too(text):
    if judge(text, PARAGRAPH) is None:
        assert judge(text, ("sentence",)) is None


def test_it_can_be_sent_to_other_processes():
    assert pickle.loads(pickle.dumps(judge)) is judge  # noqa: S301 - our own bytes


HOSTILE = ["a", "a ", ".", ". ", "…", "1 ", "(", "[](", "[a](b", "|", "\n", "a 1\n", "a, 1\n", "_",
"=",
           "a(", "def (", "<a", "{", "a;\n", "x: y\n", "(c) ", "\ufffd", "\x00", "中", "ก", "a中",
           "2020-01-01 ", "SELECT ", "https://a/", "'", "a-a-", "a a a a "]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_repetition_does_not_keep_it_from_coming_to_an_end(piece):
    # A search that goes back over the text would need hours for this.
    text = piece * (300_000 // len(piece))
    assert judge(text, PARAGRAPH) in REJECTIONS
