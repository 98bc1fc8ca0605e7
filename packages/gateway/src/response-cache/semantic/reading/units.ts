const classes = `km kilometre kilometer kilometres kilometers kms 公里 千米
m metre meter metres meters 米
cm centimetre centimeter centimetres centimeters 厘米
mm millimetre millimeter 毫米
mile miles mi 英里
kg kilogram kilograms kilo kilos kgs 公斤 千克
g gram grams 克
lb lbs pound pounds 磅
斤
ton tons tonne tonnes 吨
l litre liter litres liters 升
ml millilitre milliliter 毫升
% percent percentage
¥ yuan rmb cny 元 块 块钱 人民币
$ dollar dollars usd 美元 美金
€ euro euros eur 欧元
£ gbp 英镑
₹ rs inr rupee rupees 卢比
second seconds sec secs 秒 秒钟
minute minutes min mins 分钟
hour hours hr hrs h 小时 钟头
day days 天
week weeks 周 星期 礼拜
month months 个月
year years yr yrs 年
° degree degrees 度
kb mb gb tb
inch inches 英寸
foot feet ft 英尺
x times 倍`;

/** A unit's one name by any of its own. */
const unitOf: ReadonlyMap<string, string> = new Map(
  classes.split('\n').flatMap((line) => {
    const [first = '', ...others] = line.split(' ');
    // Bytes are units each of its own.
    return line.startsWith('kb')
      ? line.split(' ').map((name) => [name, name] as const)
      : [first, ...others].map((name) => [name, first] as const);
  }),
);

/** The unit's one name; undefined: the word is none. */
export function findUnit(word: string): string | undefined {
  return unitOf.get(word.toLowerCase());
}
