/** A command that a document shows: its words, and the line or the words between backquotes that it stands in. */
export interface ShownCommand {
  readonly words: readonly string[];
  readonly shown: string;
  /** Between backquotes in a sentence, where a command may be named without its arguments. */
  readonly inline: boolean;
}

/** Every line of a fenced block that is a command, and every command between backquotes. */
export function shownCommands(markdown: string): ShownCommand[] {
  const blocks = [...markdown.matchAll(/^```([^\n]*)\n(.*?)^```/gms)];
  const prose = markdown.replace(/^```.*?^```/gms, '');
  const lines = blocks.flatMap(([, language = '', block = '']) => commandsIn(language, block));
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)]
    .map(([, span = '']) => span)
    .filter((span) => /^(?:sudo )?(?:\w*c\w*n\w*fs|np\w|bash) /.test(span));
  return [
    ...lines.map((shown) => ({ words: wordsOf(shown), shown, inline: false })),
    ...spans.map((shown) => ({ words: wordsOf(shown), shown, inline: true })),
  ].filter(({ words }) => words.length > 0);
}

/** Where a block shows a prompt, what has none is output; what --help says is text with some commands in it. */
function commandsIn(language: string, block: string): string[] {
  const lines = block.replace(/\\\n\s*/g, ' ').split('\n');
  if (language === 'text') return lines.filter((line) => /^\s*cinderfs [-a-z]/.test(line) && !isForm(line));
  const prompted = lines.filter((line) => /^[#$] /.test(line));
  return (prompted.length > 0 ? prompted : lines).filter((line) => line.trim() !== '');
}

/** "cinderfs VERB --help shows ..." speaks of the form of a command. */
function isForm(line: string): boolean {
  return /^\s*cinderfs (?:VERB|.* shows )/.test(line);
}

/** Without prompt, variables and sudo, up to the end of the command: a comment, columns, a pipe, a redirection. */
function wordsOf(line: string): string[] {
  const command = line
    .trim()
    .replace(/^(?:[#$] )?(?:\w+=\S+ +)*(?:sudo )?(?:node )?/, '')
    .split(/ {2,}| #|[|;&<>]/)[0];
  const words = command?.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
  return words.map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
}
