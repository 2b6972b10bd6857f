// A client that asks for one key again and again, and measures each answer. Usage: PORT. A line on stdin begins the next phase;
// at the end of stdin it prints the milliseconds of each phase, as lists in JSON.
import { once } from 'node:events'
import { connect } from 'node:net'
import { argv, stdin, stdout } from 'node:process'

const request = '*2\r\n$3\r\nGET\r\n$6\r\nkey:17\r\n'
/** So that what the probe itself compiles is not measured. */
const unmeasured = 500

const socket = connect(Number(argv[2]), '127.0.0.1').setNoDelay(true)
await once(socket, 'connect')
const phases: number[][] = [[]]
let over = false
stdin.on('data', () => phases.push([])).on('end', () => (over = true))
for (let i = 0; !over; i++) {
  const began = performance.now()
  socket.write(request)
  await once(socket, 'data')
  if (i > unmeasured) phases.at(-1)?.push(performance.now() - began)
  // Ten thousand a second would be a load of their own.
  await new Promise((resolve) => setTimeout(resolve, 1))
}
socket.destroy()
stdout.write(JSON.stringify(phases))
