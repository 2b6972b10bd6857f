// Patterns of keys as Redis has them: `*`, `?`, `[a-c]`, `[^x]`, and `\` in front of what is meant as it is.

export function matcherOf(pattern: string): (key: string) => boolean {
  if (pattern === '*') return () => true
  const expression = new RegExp(`^${sourceOf(pattern)}$`, 's')
  return (key) => expression.test(key)
}

function sourceOf(pattern: string): string {
  let source = ''
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string
    if (char === '*') source += '.*'
    else if (char === '?') source += '.'
    else if (char === '\\' && i + 1 < pattern.length) source += escaped(pattern[++i] as string)
    else if (char === '[') {
      const end = pattern.indexOf(']', i + 2)
      if (end < 0) source += escaped(char)
      else {
        const negated = pattern[i + 1] === '^'
        const inside = pattern.slice(i + (negated ? 2 : 1), end).replaceAll(/[\\\]^]/g, '\\$&')
        source += `[${negated ? '^' : ''}${inside}]`
        i = end
      }
    } else source += escaped(char)
  }
  return source
}

function escaped(char: string): string {
  return char.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&')
}
