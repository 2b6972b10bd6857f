// Values as text for people.
import { inspect } from 'node:util'

/** Of a text in what is shown, in UTF-16 units. */
export const longestText = 1000

/** Never throws, whatever the value does when it is looked at. */
export function shown(value: unknown, maxStringLength = longestText): string {
  try {
    return inspect(value, { depth: 2, maxStringLength, maxArrayLength: 20, breakLength: Infinity })
  } catch {
    return `a ${typeof value} that cannot be shown`
  }
}

/** A value for a message, on one line. */
export function brief(value: unknown): string {
  return shown(value, 80).slice(0, 200)
}
