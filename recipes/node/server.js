// A small web program: answers every request with what it knows about itself.
'use strict';
const http = require('node:http');

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify({
    node: process.version,
    path: request.url,
    user: process.getuid(),
    price: new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(1234.5),
  }));
});

server.listen(Number(process.env.PORT ?? 3000), () => console.error(`listening on ${server.address().port}`));

// As process 1, node has no default action for this signal.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
