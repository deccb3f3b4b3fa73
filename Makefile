# `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help demo demo-down test bench fuzz check image bootstrap deny clean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## Bring up a cluster, install the quickstart in it and look at the trace
	@tests/testbed/demo/up.sh

demo-down: ## End the demo and remove its data
	@tests/testbed/demo/down.sh

test: ## Everything: lints, all tests, on real servers that are brought up and ended here
	@tests/run.sh

bench: ## Measure beside other tools: make bench WHAT=kubernetes, postgres or telemetry
	@tests/bench/run.sh $(WHAT)

fuzz: ## Take made-up SQL apart beside the server: make fuzz SECONDS=600 (the test bed is up)
	FUZZ_SECONDS=$(or $(SECONDS),600) cargo test --locked --test laws -- --nocapture postgres::fuzz

check: ## Formatting and lints only
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	git ls-files '*.sh' .ci/run | xargs shellcheck -x

image: ## Build the agent's image as target/image/firstlight.tar
	@images/build.sh

bootstrap: ## Render manifests/bootstrap.yaml from the chart
	@manifests/bootstrap.sh

deny: ## Licences, sources and banned crates of what is linked
	@tests/deny.sh

clean: ## Remove what was built here; the cache of servers stays
	cargo clean
