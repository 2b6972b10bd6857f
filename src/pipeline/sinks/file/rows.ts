// Records as the lines of a file: JSON Lines, or CSV with a header of the first record's names.
import { PlanError } from '../../../errors.ts'

/** Gives the text of one record, with its line end. What it throws is the record's error. */
export interface RowWriter {
  row(record: unknown): string
}

export function rowWriter(format: 'jsonl' | 'csv'): RowWriter {
  return format === 'csv' ? new CsvRows() : { row: jsonRow }
}

function jsonRow(record: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(record)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PlanError('PLAN_RECORD', `toFile: a record cannot be written as JSON: ${why}`, { cause })
  }
  if (text === undefined) throw new PlanError('PLAN_RECORD', `toFile: JSON has no value of type ${typeof record}`)
  return `${text}\n`
}

/** Objects under a header; arrays as rows without one. */
class CsvRows implements RowWriter {
  // Of the header; undefined before the first record, a number of fields where rows are arrays.
  #columns: readonly string[] | number | undefined
  #known: ReadonlySet<string> = new Set()

  row(record: unknown): string {
    if (Array.isArray(record)) return this.#array(record)
    if (typeof record !== 'object' || record === null || record instanceof Uint8Array || record instanceof Date) {
      throw new PlanError('PLAN_RECORD', `toFile: csv expects objects or arrays, got a value of type ${typeof record}`)
    }
    return this.#object(record as Readonly<Record<string, unknown>>)
  }

  #array(record: readonly unknown[]): string {
    const columns = this.#columns ?? record.length
    if (columns !== record.length || columns === 0) {
      const expected =
        typeof columns === 'number' ? `${Math.max(1, columns)} fields` : 'an object as the first record is'
      throw new PlanError('PLAN_RECORD', `toFile: csv expects ${expected}, got an array of ${record.length}`)
    }
    const line = lineOf(record.map(fieldOf))
    this.#columns = columns
    return line
  }

  #object(record: Readonly<Record<string, unknown>>): string {
    if (typeof this.#columns === 'number') {
      throw new PlanError('PLAN_RECORD', 'toFile: csv expects an array as the first record is, got an object')
    }
    const columns = this.#columns ?? Object.keys(record)
    if (columns.length === 0) throw new PlanError('PLAN_RECORD', 'toFile: csv expects at least one field, got none')
    if (this.#columns !== undefined) {
      const unknown = Object.keys(record).find((name) => !this.#known.has(name))
      if (unknown !== undefined) {
        const message = `toFile: csv has the columns of the first record, ${columns.join(', ')}: got '${unknown}' too`
        throw new PlanError('PLAN_RECORD', message)
      }
    }
    const line = lineOf(columns.map((name) => fieldOf(record[name])))
    if (this.#columns !== undefined) return line
    this.#columns = columns
    this.#known = new Set(columns)
    return lineOf(columns.map(quoted)) + line
  }
}

/** A row of one empty field would be an empty line, which readers skip. */
function lineOf(fields: readonly string[]): string {
  return `${fields.length === 1 && fields[0] === '' ? '""' : fields.join(',')}\n`
}

function fieldOf(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (value === undefined || value === null) return ''
  if (value instanceof Date) return quoted(Number.isNaN(value.getTime()) ? '' : value.toISOString())
  if (typeof value === 'object' && !(value instanceof Uint8Array)) return quoted(jsonRow(value).slice(0, -1))
  throw new PlanError(
    'PLAN_RECORD',
    `toFile: csv has no text for ${typeof value === 'object' ? 'bytes' : typeof value}`,
  )
}

/** RFC 4180; a space at an end is quoted too, as some readers trim. */
function quoted(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
