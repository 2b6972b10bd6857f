// The same in SQL: DuckDB with two threads, from CSV to CSV. Usage: JOB DIR OUT
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { argv } from 'node:process'
import { DuckDBInstance } from '@duckdb/node-api'

const [job = '', directory = '', out = ''] = argv.slice(2)
const quoted = (path: string): string => `'${path.replaceAll("'", "''")}'`
const facts = `read_csv(${quoted(join(directory, 'facts.csv'))}, header = true, columns = {'id': 'BIGINT', 'key': 'BIGINT', 'value': 'BIGINT'})`
const names = `read_csv(${quoted(join(directory, 'names.csv'))}, header = true, columns = {'key': 'BIGINT', 'name': 'VARCHAR'})`
const groups = `SELECT key, sum(value) FROM ${facts} GROUP BY key`
const jobs: Readonly<Record<string, string>> = {
  groupBy: groups,
  aggregateBy: groups,
  sortBy: `SELECT id, key, value FROM ${facts} ORDER BY key, id`,
  join: `SELECT id, value, name FROM ${facts} JOIN ${names} USING (key)`,
}
const query = jobs[job]
if (query === undefined) throw new TypeError(`no job ${job}`)
const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
const connection = await instance.connect()
mkdirSync(out)
await connection.run(`COPY (${query}) TO ${quoted(join(out, 'part-00000.csv'))} (HEADER false)`)
connection.closeSync()
