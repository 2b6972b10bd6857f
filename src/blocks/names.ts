// Names of owners and blocks as parts of file names and keys.
import { createHash } from 'node:crypto'

const longest = 160

/**
 * A name of only `a-z 0-9 - _ %`, different for different names, also where a file system ignores case; never empty, `.`
 * or `..`. Long names are cut and carry their SHA-256.
 */
export function safeName(name: string): string {
  if (name === '') return '%'
  const safe = name.replace(/[^a-z0-9_-]/gu, (character) => {
    // Lone surrogates have no UTF-8: their code unit, in a form that no byte has.
    if (!character.isWellFormed()) return `%u${character.charCodeAt(0).toString(16)}`
    return Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  })
  if (safe.length <= longest) return safe
  return `${safe.slice(0, longest - 66)}%%${createHash('sha256').update(safe).digest('hex')}`
}
