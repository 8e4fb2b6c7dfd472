// load: creates, reads, patches, lists and deletes pods as fast as a kube-apiserver answers.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"labels":{"app":"load"}},
"spec":{"schedulerName":"none","containers":[{"name":"c","image":"nginx:1.25",
"env":[{"name":"DB_PASSWORD","value":"pw-%d"},{"name":"PAD","value":%q}]}]}}`

func main() {
	base := flag.String("base", "https://127.0.0.1:6443", "where the server is")
	token := flag.String("token", "", "bearer token of an administrator")
	workers := flag.Int("workers", 8, "clients side by side")
	length := flag.Duration("for", 30*time.Second, "how long")
	seed := flag.Int64("seed", 1, "what names and sizes follow from")
	flag.Parse()

	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // it makes its own certificate
		MaxIdleConnsPerHost: *workers,
	}}
	var done, failed atomic.Int64
	ask := func(method, path, contentType, body string) {
		request, _ := http.NewRequest(method, *base+path, strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer "+*token)
		if contentType != "" {
			request.Header.Set("Content-Type", contentType)
		}
		answer, err := client.Do(request)
		if err != nil {
			failed.Add(1)
			return
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		done.Add(1)
	}
	pods := "/api/v1/namespaces/default/pods"
	end := time.Now().Add(*length)
	var all sync.WaitGroup
	for worker := 0; worker < *workers; worker++ {
		all.Add(1)
		go func() {
			defer all.Done()
			dice := rand.New(rand.NewSource(*seed*1000 + int64(worker)))
			for i := 0; time.Now().Before(end); i++ {
				name := fmt.Sprintf("load-%d-%d-%d", *seed, worker, i)
				pad := strings.Repeat("x", dice.Intn(600))
				ask("POST", pods, "application/json", fmt.Sprintf(pod, name, dice.Int63(), pad))
				ask("GET", pods+"/"+name, "", "")
				patch := `{"metadata":{"annotations":{"a":"b<&>"}}}`
				ask("PATCH", pods+"/"+name, "application/merge-patch+json", patch)
				ask("GET", pods+"?limit=5", "", "")
				ask("GET", "/api/v1/namespaces/default/secrets/none", "", "")
				ask("DELETE", pods+"/"+name+"?gracePeriodSeconds=0", "", "")
			}
		}()
	}
	all.Wait()
	fmt.Printf("%d requests, %d failed\n", done.Load(), failed.Load())
}
