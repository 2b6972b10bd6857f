// Cron expressions. What reads them comes with the first one: few pipelines have any.
import { createRequire } from 'node:module'
import type { Cron } from 'croner'

let loaded: { readonly Cron: typeof Cron } | undefined

/** Throws what croner throws for an expression that it cannot read. */
export function cron(expression: string): Cron {
  loaded ??= createRequire(import.meta.url)('croner') as { readonly Cron: typeof Cron }
  return new loaded.Cron(expression)
}
