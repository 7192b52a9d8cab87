// Receives orders as a Go program does: the signature by Standard Webhooks' library, the event by CloudEvents'.
//
//	RECEIVER_SECRET=whsec_… receiver
//
// It tells its URL, then each event that came, a line of JSON each.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func main() {
	signed, err := standardwebhooks.NewWebhook(os.Getenv("RECEIVER_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	protocol, err := cloudevents.NewHTTP(cloudevents.WithListener(listener), cloudevents.WithMiddleware(verified(signed)))
	if err != nil {
		log.Fatal(err)
	}
	client, err := cloudevents.NewClient(protocol)
	if err != nil {
		log.Fatal(err)
	}
	tell(map[string]string{"url": "http://" + listener.Addr().String()})
	log.Fatal(client.StartReceiver(context.Background(), receive))
}

func verified(signed *standardwebhooks.Webhook) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(writer, request.Body, 1<<20))
			if err != nil || signed.Verify(body, request.Header) != nil {
				http.Error(writer, "the signature is not ours", http.StatusUnauthorized)
				return
			}
			request.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(writer, request)
		})
	}
}

func receive(event cloudevents.Event) cloudevents.Result {
	if err := event.Validate(); err != nil {
		return err
	}
	tell(event)
	return nil
}

func tell(line any) {
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		log.Fatal(err)
	}
}
