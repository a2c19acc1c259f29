"""Texts that tokenizers get wrong. Seeded, so that every run gives the same list."""

import random

FIXED = [
    "", " ", "  ", "\n", "\r\n", "\t", "a", " a", "a ", "Hello, world!", "The capital of France is",
    "Hello  world   with    spaces     \n\n  and\n\n\nlines\r\n\r\n\tand tabs \t \t.",
    "it's we'LL they'Re I'D 'S 'ſ K's don't DON'T o'clock 'tis rock'n'roll",
    "def add(a: int, b: int) -> int:\n    # sum\n    return a + b\n\n\nclass X:\n\tpass\n",
    "for(int i=0;i<10;++i){printf(\"%d\\n\",i);}//done\r\n",
    "#!/bin/sh\nset -e; x=$((1+2)) && echo \"${x}\" | sed 's/[0-9]\\+/N/g' >/dev/null 2>&1",
    "<html><body class=\"a\">&nbsp;&amp;</body></html>", "{\"a\": [1, 2.5e-3, null], \"b\": {}}",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 0x1F 1e-9 ½ ² ٣٤٥ ۱۲۳ ௧ Ⅷ ⑦ 一二三",
    "ÀÉÎÕÜ àéîõü ß ẞ ŒœÆæ Ǆǅǆ ĲĳŁł İı ſ ﬁ ﬀ naïve Ångström",
    "e\u0301 a\u0300\u0323 n\u0303 \u0301 Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d",
    "中文字符测试，标点。「引号」、和空格 混合English文字123", "日本語のテキスト。カタカナとひらがな、漢字!", "한국어 텍스트입니다. 조선말 ㄱㄴㄷ",
    "مرحبا بالعالم، كيف حالك؟ ١٢٣", "שלום עולם", "Привет, мир! Ёлка", "Γειά σου Κόσμε", "नमस्ते दुनिया क्षत्रिय", "สวัสดีชาวโลก ภาษาไทย",
    "Tiếng Việt có dấu", "ქართული ᲐᲑᲒ", "ᏣᎳᎩ ꮳꮃꭹ", "አማርኛ",
    "😀 😃😄 👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇫🇷🇩🇪 ❤️ ☃ © ™ 🫨🪿", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒻ℴ𝓃𝓉 𐍈 𓀀 𒀀 🂡",
    "\x00\x01\x02\x07\x08\x0b\x0c\x0e\x1b\x1f\x7f\x80\x85\x9f\xa0\xad",
    "zero\u200bwidth\u200cjoin\u200der\u2060bom\ufeffend\ufffd\uffff\U0010ffff \ue000",
    "rtl\u202eoverride\u202c\u2066iso\u2069", "thin\u2009space nb\u00a0space ideographic\u3000space ogham\u1680x\u2028line\u2029para\u205f.",
    "!!!???...;;;:::---___***///\\\\\\|||~~~^^^```@@@###$$$%%%&&&((()))[[[]]]{{{}}}<<<>>>===+++\"\"\"'''",
    "“curly” ‘quotes’ — en–dash … ‹›«» ¿¡ † ‡ • ‰ ′ ″ € £ ¥ ₿ ∑∫√∞≠≤≥ ←↑→↓ ■□ ♠♣",
    "▁lower▁one▁▁eighth▁ block ▁", "Ġbyte Ċlevel letters ĠĠ", "<0x0A><0xE2> <unk> <s></s> <pad> <bos>",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_start|", "<|endoftext|><|endoftext|>x", "a<|im_end|>b <|im_end|> c",
    "<tool_call>\n{\"name\": \"f\"}\n</tool_call>", "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<table><tr><td>\n\n\n</td></tr></table> <h1>x</h1>",
    "CamelCaseWords snake_case_words SCREAMING_SNAKE kebab-case XMLHttpRequest iPhone eBay McDonald",
    "https://example.com/a?b=c&d=%20#e user@example.com C:\\Users\\x ~/.config /usr/bin", "   leading", "trailing   ", "\n\n\nleading lines", "lines trailing\n\n\n",
    " \n \n\t\n x", "a\n b\n  c\n   d\n    e", "\t\ttabs\t\t\tinside\t", "a\rb\rc\r\n\r\nd\n\re", "x \u00a0 \u2003 y", " \u3000\u3000",
    "a" * 300, "A" * 100 + "b", "ab" * 100, " " * 200, " " * 77 + "x", "\n" * 90, "\n " * 40, "=" * 130, "-" * 65, "." * 50, "!?" * 40,
    "0" * 50, "9" * 101, "é" * 60, "😀" * 30, "中" * 70, "\t" * 40, "ha" * 64 + "!", "\u0301" * 20, "\x00" * 20, "▁" * 9,
]

POOLS = [
    "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", " " * 8 + "\n\t\r\x0b\u00a0\u3000\u2028", "'sdmtlrev",
    "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~", "éàüßñøÅŁžſ", "中文字符日本語のカ한국어", "مرحباשלוםПриветΓειάहिन्दी", "٣٤½²Ⅷ①", "\u0301\u0323\u093f\u200d\ufe0f",
    "😀👍🏽🇫🇷🏳❤©", "▁Ġ<|>", "\x00\x01\x7f\x85\ufeff\ue000", "ǅʰªºℓ", "“”‘’—…。、€∑",
]


def texts():
    rng = random.Random(20240607)
    mixed = []
    for _ in range(150):
        pools = rng.sample(POOLS, rng.randint(1, 5))
        mixed.append("".join("".join(rng.choices(rng.choice(pools), k=rng.randint(1, 6))) for _ in range(rng.randint(1, 12))))
    return FIXED + mixed
