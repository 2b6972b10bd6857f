// Word count in SQL: DuckDB over the same CSV files, with two threads. Usage: FILES...
import { argv, stdout } from 'node:process'
import { DuckDBInstance } from '@duckdb/node-api'
import type { WordCountResult } from './result.ts'

const quoted = (path: string): string => `'${path.replaceAll("'", "''")}'`

const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
const connection = await instance.connect()
await connection.run(`
  CREATE TABLE counts AS
  SELECT word, count(*) AS n
  FROM (
    SELECT unnest(string_split(text, ' ')) AS word
    FROM read_csv([${argv.slice(2).map(quoted).join(', ')}], header = true, delim = ',', quote = '"', columns = {
      'target': 'VARCHAR', 'id': 'VARCHAR', 'date': 'VARCHAR', 'flag': 'VARCHAR', 'user': 'VARCHAR', 'text': 'VARCHAR', 'extra': 'VARCHAR'
    })
  )
  GROUP BY word`)
const sums = await (await connection.run('SELECT sum(n)::DOUBLE, count(*)::DOUBLE FROM counts')).getRows()
const top = await (await connection.run('SELECT word, n::DOUBLE FROM counts ORDER BY n DESC, word LIMIT 10')).getRows()
const [words, distinct] = sums[0] ?? []
const result: WordCountResult = {
  words: Number(words),
  distinct: Number(distinct),
  top: top.map(([word, count]) => [String(word), Number(count)] as const),
}
stdout.write(`${JSON.stringify(result)}\n`)
connection.closeSync()
