/** The command lines of cinderfs that a document shows in its fenced blocks, each as its words after `cinderfs`. */
export function commandLines(markdown: string): string[][] {
  return [...markdown.matchAll(/^```[^\n]*\n(.*?)^```/gms)]
    .flatMap(([, block = '']) => block.replace(/\\\n\s*/g, ' ').split('\n'))
    .flatMap((line) => commandIn(line) ?? []);
}

/** The words of a line that begins, after a prompt, variables and sudo, with `cinderfs` or its launcher. */
function commandIn(line: string): string[][] | undefined {
  const start =
    /^\s*(?:[#$] )?(?:\w+=\S+ )*(?:sudo )?(?:node )?(?:\S*bin\/)?cinderfs(?:\.cjs)? (?=[-a-z])/.exec(line);
  if (start === null) return undefined;
  const words = line
    .slice(start[0].length)
    // Up to the end of the command: a comment, an explanation in columns, a pipe, a redirection.
    .split(/ {2,}| #|[|;&<>]/)[0]
    ?.match(/'[^']*'|"[^"]*"|\S+/g)
    ?.map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
  // "cinderfs VERB [WORDS]" and "cinderfs VERB --help shows ..." speak of the form, not of a command.
  if (words === undefined || words.some((word) => /^VERB$|^\[|^shows$/.test(word))) return undefined;
  return [words];
}
