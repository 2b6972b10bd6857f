// Bulk replies as text, where they are.
import { isUtf8 } from 'node:buffer'
import { PlanError } from '../../errors.ts'

/** The text of bytes from the server. Throws PLAN_ENCODING where they are not UTF-8. */
export function textOfReply(bytes: Buffer, what: string): string {
  const text = bytes.toString()
  if (text.includes('\uFFFD') && !isUtf8(bytes)) throw new PlanError('PLAN_ENCODING', `${what} is not UTF-8`)
  return text
}
