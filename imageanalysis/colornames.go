package imageanalysis

import "math"

// named is a colour that people have a word for. The swatches were chosen for
// this table; where several tongues agree on a value, such as CSS's, it is that.
type named struct {
	rgb    uint32
	en, ru string
}

var colorNames = []named{
	{0x000000, "black", "чёрный"},
	{0x1C1C1E, "jet black", "угольно-чёрный"},
	{0x36383B, "charcoal", "антрацитовый"},
	{0x555555, "dark gray", "тёмно-серый"},
	{0x808080, "gray", "серый"},
	{0xA9A9A9, "medium gray", "средне-серый"},
	{0xC0C0C0, "silver", "серебристый"},
	{0xD9D9D9, "light gray", "светло-серый"},
	{0xF0F0F0, "off-white", "почти белый"},
	{0xFFFFFF, "white", "белый"},
	{0x708090, "slate gray", "сине-серый"},
	{0x2F4F4F, "dark slate", "тёмно-аспидный"},
	{0x8A8D7F, "gray-green", "серо-зелёный"},
	{0x8B8589, "taupe gray", "дымчато-серый"},
	{0x483C32, "taupe", "серо-коричневый"},

	{0xFFFAFA, "snow white", "белоснежный"},
	{0xFFFFF0, "ivory", "слоновая кость"},
	{0xFFFDD0, "cream", "кремовый"},
	{0xFAF0E6, "linen", "льняной"},
	{0xF5F5DC, "light beige", "светло-бежевый"},
	{0xE6D3B3, "beige", "бежевый"},
	{0xC8AD88, "dark beige", "тёмно-бежевый"},
	{0xF7E7CE, "champagne", "шампань"},
	{0xF3E5AB, "vanilla", "ванильный"},

	{0xD2B48C, "tan", "рыжевато-коричневый"},
	{0xC3B091, "khaki", "хаки"},
	{0x6B6143, "dark khaki", "тёмный хаки"},
	{0xC2B280, "sand", "песочный"},
	{0xC19A6B, "camel", "верблюжий"},
	{0xCC7722, "ochre", "охра"},
	{0xCD7F32, "bronze", "бронзовый"},
	{0xB87333, "copper", "медный"},
	{0xC68E5A, "caramel", "карамельный"},
	{0xD2691E, "cinnamon", "коричный"},
	{0xA0522D, "sienna", "сиена"},
	{0x8B4513, "saddle brown", "кожано-коричневый"},
	{0x964B00, "brown", "коричневый"},
	{0x7B3F00, "chocolate", "шоколадный"},
	{0x5C4033, "dark brown", "тёмно-коричневый"},
	{0x3B2418, "espresso", "кофейный"},
	{0xA67B5B, "light brown", "светло-коричневый"},
	{0x954535, "chestnut", "каштановый"},
	{0xB7410E, "rust", "ржавый"},
	{0xB25B3F, "brick", "кирпичный"},
	{0xE2725B, "terracotta", "терракотовый"},

	{0xFF0000, "red", "красный"},
	{0xDC143C, "crimson", "малиново-красный"},
	{0xB22222, "dark red", "тёмно-красный"},
	{0x8B0000, "blood red", "кроваво-красный"},
	{0xFF2400, "scarlet", "алый"},
	{0xE0115F, "ruby", "рубиновый"},
	{0x800000, "maroon", "бордово-коричневый"},
	{0x800020, "burgundy", "бордовый"},
	{0x5E1321, "dark burgundy", "тёмно-бордовый"},
	{0x722F37, "wine", "винный"},
	{0x960018, "carmine", "карминовый"},

	{0xFF7F50, "coral", "коралловый"},
	{0xFA8072, "salmon", "лососёвый"},
	{0xFFDAB9, "peach", "персиковый"},
	{0xFFB07C, "dark peach", "тёмно-персиковый"},
	{0xFBCEB1, "apricot", "абрикосовый"},
	{0xFFA500, "orange", "оранжевый"},
	{0xFF7518, "pumpkin", "тыквенный"},
	{0xFF4500, "red-orange", "красно-оранжевый"},
	{0xE86A17, "dark orange", "тёмно-оранжевый"},
	{0xFFBF00, "amber", "янтарный"},

	{0xFFFF00, "yellow", "жёлтый"},
	{0xFFF44F, "lemon", "лимонный"},
	{0xFFFF99, "light yellow", "светло-жёлтый"},
	{0xFFD700, "gold", "золотой"},
	{0xDAA520, "goldenrod", "золотистый"},
	{0xE1AD01, "mustard", "горчичный"},
	{0xF4C430, "saffron", "шафрановый"},

	{0x808000, "olive", "оливковый"},
	{0x556B2F, "dark olive", "тёмно-оливковый"},
	{0x6B8E23, "olive green", "оливково-зелёный"},
	{0xBFFF00, "lime", "лаймовый"},
	{0x9ACD32, "yellow-green", "жёлто-зелёный"},
	{0x8DB600, "apple green", "яблочно-зелёный"},
	{0x00FF00, "bright green", "ярко-зелёный"},
	{0x32CD32, "lime green", "зелёный лайм"},
	{0x008000, "green", "зелёный"},
	{0x228B22, "forest green", "лесной зелёный"},
	{0x006400, "dark green", "тёмно-зелёный"},
	{0x013220, "bottle green", "бутылочный"},
	{0x90EE90, "light green", "светло-зелёный"},
	{0x98FF98, "mint", "мятный"},
	{0xC1E1C1, "pale green", "бледно-зелёный"},
	{0x9CAF88, "sage", "шалфейный"},
	{0x93C572, "pistachio", "фисташковый"},
	{0x4B5320, "army green", "защитный"},
	{0x2E8B57, "sea green", "морской зелёный"},
	{0x50C878, "emerald", "изумрудный"},
	{0x00A86B, "jade", "нефритовый"},

	{0x40E0D0, "turquoise", "бирюзовый"},
	{0x00CED1, "dark turquoise", "тёмно-бирюзовый"},
	{0x7FFFD4, "aquamarine", "аквамариновый"},
	{0x00FFFF, "cyan", "циан"},
	{0x008080, "teal", "сине-зелёный"},
	{0x004D4D, "dark teal", "тёмный сине-зелёный"},

	{0x87CEEB, "sky blue", "небесно-голубой"},
	{0xADD8E6, "light blue", "голубой"},
	{0xB0C4DE, "light steel blue", "серо-голубой"},
	{0xE0F0FF, "ice blue", "ледяной голубой"},
	{0x00BFFF, "azure", "лазурный"},
	{0x6495ED, "cornflower", "васильковый"},
	{0x4682B4, "steel blue", "стальной синий"},
	{0x5B7FA6, "denim", "джинсовый"},
	{0x1E90FF, "bright blue", "ярко-голубой"},
	{0x0047AB, "cobalt", "кобальтовый"},
	{0x4169E1, "royal blue", "королевский синий"},
	{0x0000FF, "blue", "синий"},
	{0x00008B, "dark blue", "тёмно-синий"},
	{0x000080, "navy", "тёмно-синий"},
	{0x1B2A49, "midnight blue", "полуночный синий"},
	{0x0F1A2B, "blue-black", "иссиня-чёрный"},
	{0x0F52BA, "sapphire", "сапфировый"},

	{0x4B0082, "indigo", "индиго"},
	{0x6A5ACD, "slate blue", "сине-фиолетовый"},
	{0xCCCCFF, "periwinkle", "барвинковый"},
	{0xE6E6FA, "pale lavender", "бледно-лавандовый"},
	{0xB57EDC, "lavender", "лавандовый"},
	{0xC8A2C8, "lilac", "сиреневый"},
	{0xEE82EE, "light violet", "светло-фиолетовый"},
	{0x8F00FF, "violet", "фиолетовый"},
	{0x800080, "purple", "пурпурный"},
	{0x9966CC, "amethyst", "аметистовый"},
	{0x5D3954, "plum", "сливовый"},
	{0x614051, "eggplant", "баклажановый"},
	{0x301934, "dark purple", "тёмно-пурпурный"},
	{0x915F6D, "mauve", "розовато-лиловый"},

	{0xFF00FF, "magenta", "маджента"},
	{0xFF0090, "fuchsia", "фуксия"},
	{0xFF69B4, "hot pink", "ярко-розовый"},
	{0xFFC0CB, "pink", "розовый"},
	{0xFFE4E1, "pale pink", "бледно-розовый"},
	{0xDCAE96, "dusty rose", "пыльно-розовый"},
	{0xC08081, "old rose", "тёмно-розовый"},
	{0xE30B5C, "raspberry", "малиновый"},
	{0xB3446C, "berry", "ягодный"},
}

var nameLabs = func() []lab {
	out := make([]lab, len(colorNames))
	for i, n := range colorNames {
		out[i] = labOf(byte(n.rgb>>16), byte(n.rgb>>8), byte(n.rgb))
	}
	return out
}()

// nameOf finds the name of the colour that looks most like it; of equals the
// first of the table.
func nameOf(rgb [3]byte) (en, ru string) {
	p := labOf(rgb[0], rgb[1], rgb[2])
	near, best := 0, math.Inf(1)
	for i, q := range nameLabs {
		if d := ciede2000(p, q); d < best {
			near, best = i, d
		}
	}
	return colorNames[near].en, colorNames[near].ru
}
