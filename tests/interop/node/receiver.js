// Receives orders as a Node program does: the signature by Standard Webhooks' library, the event by CloudEvents'.
//
//   RECEIVER_SECRET=whsec_… node receiver.js
//
// It tells its URL, then each event that came, a line of JSON each.
import { createServer } from "node:http";
import { text } from "node:stream/consumers";

import { HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";

const signed = new Webhook(process.env.RECEIVER_SECRET);

function received(headers, body) {
  try {
    signed.verify(body, headers);
  } catch {
    return 401;
  }
  const event = HTTP.toEvent({ headers, body });
  event.validate();
  console.log(JSON.stringify(event));
  return 200;
}

const server = createServer(async (request, response) => {
  response.writeHead(received(request.headers, await text(request))).end();
});

server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
});
