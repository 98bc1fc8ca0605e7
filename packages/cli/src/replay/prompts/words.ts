/**
 * 128 words that are short and common, so that most vocabularies have each of them, with the space before it, as one token. Seven bits
 * a word: two prompts that are made independently differ within a few words.
 */
export const words: readonly string[] = `
the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all were we when your can
said there use an each which she do how their if will up other about out many then them these so some her would make like him into time has look two
more write go see number no way could people my than first water been call who its now find long down day did get come made may part over new sound
take only little work know place year live me back give most very after thing our just name good sentence man think say great where help through much
`
  .trim()
  .split(/\s+/);
