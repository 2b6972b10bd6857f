// Fills a server with string keys by pipelined SETs: `key:0` ... with values of which `distinct` differ.
import { once } from 'node:events'
import { connect } from 'node:net'

const together = 5000

export async function fill(port: number, keys: number, distinct: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  let received = 0
  const answered = new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    // Each answer is `+OK\r\n`.
    socket.on('data', (chunk) => {
      received += chunk.length
      if (received >= 5 * keys) resolve()
    })
  })
  for (let i = 0; i < keys;) {
    let commands = ''
    for (let n = 0; n < together && i < keys; n++, i++) {
      const key = `key:${i}`
      const value = `value ${i % distinct}`
      commands += `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`
    }
    if (!socket.write(commands)) await once(socket, 'drain')
  }
  await answered
  socket.destroy()
}
