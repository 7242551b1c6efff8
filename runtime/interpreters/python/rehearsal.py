# What zygote.py rehearses with: it prints, as most programs do. Nobody hears it.
print(1 + 1, "text")
