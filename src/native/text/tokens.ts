// How a text becomes tokens: the options, and the same in plain JavaScript for texts that WebAssembly leaves alone.
import { PlanError } from '../../errors.ts'
import { TOKENS_BYTE, TOKENS_BYTES, TOKENS_WHOLE, TOKENS_WORDS } from './layout.ts'

/** `{ split }`: as `String.split`; `'words'`: runs of characters that are not blank; `'none'`: the text itself. */
export type Tokens = { readonly split: string } | 'words' | 'none'

export interface TokenOptions {
  readonly tokens: Tokens
  /** Lower-case the text before it is split, or the tokens after. Default: neither. */
  readonly lower?: 'before' | 'after'
}

/**
 * Whether columns can be split by it. The empty separator and lone surrogates cut between UTF-16 code units, which
 * UTF-8 does not have: such a split has to be done on strings.
 */
export function isColumnSeparator(separator: string): boolean {
  return separator !== '' && separator.isWellFormed()
}

/** Tokens ready for use on either side. */
export interface TokenPlan {
  readonly mode: number
  /** UTF-8; empty where the mode has none. */
  readonly separator: Uint8Array
  readonly lower: boolean
  /** WebAssembly lower-cases before it splits. Where the order matters, all texts take the JavaScript path. */
  readonly scripted: boolean
  /** A text that may stand between two texts so that the tokens of both stay the same. */
  readonly joint: string | undefined
  readonly inScript: (text: string) => string[]
  /** Another text whose tokens, without lower-casing, are those of `inScript`; undefined where there is no such text. */
  readonly respell: ((text: string) => string) | undefined
}

export function planTokens(options: TokenOptions): TokenPlan {
  const { tokens, lower } = options
  const cut = cutter(tokens)
  const joint = jointOf(tokens, lower)
  const inScript = scriptOf(cut, lower)
  const separator = new TextEncoder().encode(typeof tokens === 'object' ? tokens.split : '')
  return {
    mode: modeOf(tokens, separator),
    separator,
    lower: lower !== undefined,
    scripted: lower === 'after' && typeof tokens === 'object' && !isCaseless(tokens.split),
    joint,
    inScript,
    respell:
      lower === undefined
        ? (text) => text
        : lower === 'before'
          ? (text) => text.toLowerCase()
          : joint !== undefined && isCaseless(joint) && joint < '\x80'
            ? (text) => inScript(text).join(joint)
            : undefined,
  }
}

function scriptOf(cut: (text: string) => string[], lower: TokenOptions['lower']): (text: string) => string[] {
  if (lower === 'before') return (text) => cut(text.toLowerCase())
  if (lower === 'after') return (text) => cut(text).map((token) => token.toLowerCase())
  return cut
}

function cutter(tokens: Tokens): (text: string) => string[] {
  if (tokens === 'none') return (text) => [text]
  if (tokens === 'words') return (text) => text.match(/\S+/g) ?? []
  if (!isColumnSeparator(tokens.split)) {
    throw new PlanError('PLAN_OPTION', `columns cannot be split by ${JSON.stringify(tokens.split)}`)
  }
  return (text) => text.split(tokens.split)
}

function modeOf(tokens: Tokens, separator: Uint8Array): number {
  if (tokens === 'none') return TOKENS_WHOLE
  if (tokens === 'words') return TOKENS_WORDS
  return separator.length === 1 ? TOKENS_BYTE : TOKENS_BYTES
}

function isCaseless(text: string): boolean {
  return text.toLowerCase() === text && text.toUpperCase() === text
}

// A separator of several characters may begin in one text and end in the next; a single character cannot. One that is
// lower-cased together with the texts would be no separator any more.
function jointOf(tokens: Tokens, lower: TokenOptions['lower']): string | undefined {
  if (tokens === 'words') return ' '
  if (tokens === 'none') return undefined
  const { split } = tokens
  const stays = lower === undefined || split.toLowerCase() === split
  return stays && Array.from(split).length === 1 ? split : undefined
}
